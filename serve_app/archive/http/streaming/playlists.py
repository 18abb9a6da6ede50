"""HLS playlists, rewritten so that players fetch all of them through this server."""

import re
from collections.abc import Callable
from urllib.parse import quote, urljoin

from serve_app.archive.errors import SourceFailed

MAX_BYTES = 5_000_000
# Of a rewritten playlist: each of its lines may become as long as the longest URL.
_MAX_CHARACTERS = 64_000_000
_BOM = b"\xef\xbb\xbf"
_URI = re.compile(r'([A-Z0-9-]*URI=")([^"]*)(")')
# Reserved characters and percent signs stay as they are; others are encoded.
_KEPT = "!#$%&'()*+,/:;=?@[]~"


def rewritten(body: bytes, url: str, proxied: Callable[[str], str]) -> bytes:
    """Return the playlist at `url` with `proxied` URLs: its lines and `URI=` values.

    Relative ones are resolved against `url`. Those of `data:` are kept: nothing is
    fetched for them. Raises SourceFailed for what is no playlist, or too large.
    """
    text = body.removeprefix(_BOM).decode("utf-8", "replace")
    if not text.lstrip().startswith("#EXTM3U"):
        raise SourceFailed("The source sent something else as an HLS playlist.")
    lines, characters = [], 0
    for line in text.split("\n"):
        changed = _rewritten(line.removesuffix("\r"), url, proxied)
        characters += len(changed) + 1
        if characters > _MAX_CHARACTERS:
            raise SourceFailed("The source's playlist is too large.")
        lines.append(changed)
    return "\n".join(lines).encode()


def absolute(uri: str, url: str) -> str:
    """Return a URI of the playlist at `url` as an absolute URL, percent-encoded."""
    try:
        return encoded(urljoin(url, uri.strip()))
    except ValueError as err:
        raise SourceFailed(
            f"The source's playlist has {uri[:80]!r}, which is not a valid URL."
        ) from err


def encoded(url: str) -> str:
    """Return a URL in ASCII: characters that no URL may have are percent-encoded."""
    return quote(url, safe=_KEPT)


def _rewritten(line: str, url: str, proxied: Callable[[str], str]) -> str:
    def replaced(uri: str) -> str:
        if uri.lstrip()[:5].lower() == "data:":
            return uri
        return proxied(absolute(uri, url))

    if line.startswith("#"):
        if "URI=" not in line:
            return line
        return _URI.sub(lambda each: each[1] + replaced(each[2]) + each[3], line)
    return replaced(line) if line.strip() else line
