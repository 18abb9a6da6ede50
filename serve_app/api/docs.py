"""The page at `/docs`: Swagger UI and examples, all served from here."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from serve_app.api.part import ApiPart

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


def add_examples(description: dict[str, Any], parts: Iterable[ApiPart]) -> None:
    """Give the calls in an OpenAPI description their examples, as `x-codeSamples`."""
    for part in parts:
        if part.examples_dir is None:
            continue
        for (section, name, method), files in part.examples.items():
            description[section][name][method]["x-codeSamples"] = [
                {
                    "lang": lang,
                    "label": label + which,
                    "source": _source(part.examples_dir / f"{file}.{suffix}"),
                }
                for file, which in files.items()
                for suffix, lang, label in _LANGUAGES
            ]


def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def _page(_: Request) -> Response:
    return FileResponse(_ASSETS / "docs.html", headers=_PAGE_HEADERS)
