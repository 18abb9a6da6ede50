"""The files of the page, read and compressed once."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import quote

import brotli

from serve_app.page import modules

ASSETS = Path(__file__).parent / "assets"

_PAGE = "page.html"
_MAIN = "main.js"
_DIGEST_CHARACTERS = 16
# A tenth of the time of the highest level, for 3 % more bytes.
_BROTLI_LEVEL = 10
# Views and prefixes, which differ by application and proxy; a client may not fill the
# memory with them.
_MOST_PAGES = 64
_MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Asset:
    """A file: its media type, its bytes, and their encoded forms, smallest first."""

    media_type: str
    body: bytes
    encoded: Mapping[str, bytes]


class Bundle:
    """The files in a directory, and the digest of them all.

    The page's HTML has the placeholders `{root}`, the path of the application,
    `{base}`, the path of the other files, and `{modules}`, links to all modules that
    the view needs at once. Raises ValueError for a file whose suffix has no media type,
    and FileNotFoundError if there is no page.
    """

    def __init__(self, directory: Path = ASSETS) -> None:
        contents = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file() and not _is_hidden(path.relative_to(directory))
        }
        if _PAGE not in contents:
            raise FileNotFoundError(f"{directory / _PAGE} is missing")
        self.digest = _digest(contents)
        self._page = contents.pop(_PAGE).decode()
        self._files = {name: _asset(name, body) for name, body in contents.items()}
        # Each is compressed once.
        self._page_below = lru_cache(_MOST_PAGES)(self._filled)

    def find(self, digest: str, name: str) -> Asset | None:
        """Return a file of this version by its path, or None."""
        return self._files.get(name) if digest == self.digest else None

    def page(self, root: str, view: str) -> Asset:
        """Return the HTML for an application at `root`, a path without final slash.

        `view` is the module of what is shown at first.
        """
        return self._page_below(root, view)

    def _filled(self, root: str, view: str) -> Asset:
        path = escape(quote(root))
        bodies = {name: file.body for name, file in self._files.items()}
        # Without them, the browser finds the modules one level of imports after the
        # other, with a round trip for each. Styles, which paint waits for, go first.
        links = "\n".join(
            f'<link rel="modulepreload" href="{{base}}/{name}" fetchpriority="low">'
            for name in modules.imported(bodies, (_MAIN, view))
        )
        text = self._page.replace("{modules}", links)
        base = f"{path}/page/{self.digest}"
        text = text.replace("{root}", path).replace("{base}", base)
        return _asset(_PAGE, text.encode())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _digest(contents: Mapping[str, bytes]) -> str:
    """Return a digest that changes with each name and each byte."""
    whole = hashlib.sha256()
    for name, body in contents.items():
        whole.update(hashlib.sha256(name.encode()).digest())
        whole.update(hashlib.sha256(body).digest())
    return whole.hexdigest()[:_DIGEST_CHARACTERS]


def _asset(name: str, body: bytes) -> Asset:
    media_type = _MEDIA_TYPES.get(Path(name).suffix)
    if media_type is None:
        known = ", ".join(_MEDIA_TYPES)
        raise ValueError(f"the page's file {name} must end with one of {known}")
    forms = {
        "br": brotli.compress(body, quality=_BROTLI_LEVEL),
        # Without a time, so that every replica has the same bytes.
        "gzip": gzip.compress(body, mtime=0),
    }
    smaller = {coding: data for coding, data in forms.items() if len(data) < len(body)}
    return Asset(media_type, body, smaller)
