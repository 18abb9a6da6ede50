"""The page at `/docs`: Swagger UI and examples, all served from here."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PATH = "/docs"
SWAGGER_UI = "swagger-ui-5.35.0"

_ASSETS = Path(__file__).parent / "assets"
_CHECKED_EACH_TIME = "no-cache"
_CHECKED_NEVER = "public, max-age=31536000, immutable"
# Nothing from elsewhere is loaded, and nothing is told to others. Swagger UI has images
# in its styles, as data: URLs, and plays what it has downloaded from blob: URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
_PAGE_HEADERS = {
    "Cache-Control": _CHECKED_EACH_TIME,
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# Suffix, language and label of each.
_LANGUAGES = (
    ("sh", "Shell", "curl"),
    ("py", "Python", "Python"),
    ("mjs", "JavaScript", "JavaScript"),
)
# The calls with examples: of each, what its files are called and what tells them apart.
_EXAMPLES = {
    ("paths", "/separate", "post"): {"separate": "", "separate_url": ", by URL"},
    ("paths", "/job/{job_id}", "get"): {"job": ""},
    ("paths", "/job/{job_id}", "delete"): {"delete": ""},
    ("paths", "/job/{job_id}/events", "get"): {"events": ""},
    ("paths", "/job/{job_id}/stems/{stem_name}", "get"): {"stem": ""},
    ("paths", "/job/{job_id}/analysis", "get"): {"analysis": ""},
    ("paths", "/job/{job_id}/waveform", "get"): {"waveform": ""},
    ("paths", "/job/{job_id}/export", "get"): {"export": ""},
    ("paths", "/uploads", "post"): {"upload": ""},
    ("paths", "/analyze", "post"): {"analyze": ""},
    ("webhooks", "job.completed", "post"): {"webhook": ""},
}


class _Assets(StaticFiles):
    """Files that browsers keep, by their version, or ask about."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        is_versioned = path.startswith(f"{SWAGGER_UI}/")
        caching = _CHECKED_NEVER if is_versioned else _CHECKED_EACH_TIME
        response.headers["Cache-Control"] = caching
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def serve(app: FastAPI) -> None:
    """Have `app` serve its documentation."""
    app.add_route(PATH, _page, include_in_schema=False)
    app.mount(f"{PATH}/assets", _Assets(directory=_ASSETS))


def add_examples(description: dict[str, Any]) -> None:
    """Give the calls in an OpenAPI description their examples, as `x-codeSamples`."""
    for (part, name, method), files in _EXAMPLES.items():
        description[part][name][method]["x-codeSamples"] = [
            {"lang": lang, "label": label + which, "source": _source(file, suffix)}
            for file, which in files.items()
            for suffix, lang, label in _LANGUAGES
        ]


def _source(file: str, suffix: str) -> str:
    return (_ASSETS / "examples" / f"{file}.{suffix}").read_text(encoding="utf-8")


async def _page(_: Request) -> Response:
    return FileResponse(_ASSETS / "docs.html", headers=_PAGE_HEADERS)
