"""A file from an address that a stranger gave us, onto our disk."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

import httpcore

from serve_app.errors import Cancelled, UnreachableUrl, UploadTooLarge
from serve_app.filenames import content_disposition, titles
from serve_app.outbound.client import Answer, Asker

logger = logging.getLogger(__name__)

# A download that is cut off goes on where it stopped, so often.
_MOST_CUTS = 5
_OK, _PARTIAL = 200, 206
_CUT = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
)


@dataclass(frozen=True)
class Limits:
    """How large a file may be, and how long it may take in all."""

    max_bytes: int
    max_seconds: float


def fetch(
    asker: Asker,
    url: str,
    path: Path,
    limits: Limits,
    is_wanted: Callable[[], bool] = lambda: True,
) -> str:
    """Bring the file at `url` to `path`; return the name that its server gives it.

    A download that is cut off goes on by Range where the server says that the file is
    still the same. Raises RefusedUrl, UploadTooLarge, UnreachableUrl, which says what
    went wrong, and Cancelled once it is not wanted any more; a part of the file may lie
    at `path` then.
    """
    deadline = time.monotonic() + limits.max_seconds
    download = _Download(asker, url, limits, deadline, is_wanted)
    with path.open("wb") as file:
        for cuts in range(_MOST_CUTS + 1):
            try:
                return download.attempt(file)
            except _CUT as err:
                reason = str(err) or type(err).__name__
                if time.monotonic() > deadline or cuts == _MOST_CUTS:
                    break
                logger.warning("a download goes on at byte %d: %s", file.tell(), reason)
    raise UnreachableUrl(f"The URL could not be fetched whole: {reason}.")


class _Download:
    """Tries at one file, each of which goes on where the last one ended."""

    def __init__(
        self,
        asker: Asker,
        url: str,
        limits: Limits,
        deadline: float,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._asker = asker
        self._url = url
        self._limits = limits
        self._deadline = deadline
        self._is_wanted = is_wanted
        self._version: str | None = None

    def attempt(self, file: BinaryIO) -> str:
        """Append what is missing; return the file's name once it is whole."""
        headers = {"Accept-Encoding": "identity"}
        if file.tell() and self._version is not None:
            headers |= {
                "Range": f"bytes={file.tell()}-",
                "If-Range": self._version,
            }
        with self._asker.get(self._url, headers, self._deadline) as answer:
            if answer.status not in (_OK, _PARTIAL):
                raise UnreachableUrl(
                    f"The server of the URL answers {answer.status} instead of a song."
                )
            if answer.status == _OK or not _begins_at(answer.headers, file.tell()):
                file.seek(0)
                file.truncate()
                self._version = _version(answer.headers)
            self._check_size(file.tell() + _announced(answer.headers))
            for chunk in answer.body:
                if not self._is_wanted():
                    raise Cancelled("The file is not wanted any more.")
                file.write(chunk)
                self._check_size(file.tell())
            return _name(answer)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_bytes:
            raise UploadTooLarge(
                f"The file at the URL is larger than {self._limits.max_bytes} bytes."
            )


def _begins_at(headers: Mapping[str, str], start: int) -> bool:
    return headers.get("content-range", "").startswith(f"bytes {start}-")


def _announced(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _version(headers: Mapping[str, str]) -> str | None:
    """Return what the server tells versions apart by, if it is exact (RFC 9110)."""
    tag = headers.get("etag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    return headers.get("last-modified")


def _name(answer: Answer) -> str:
    """Return the title that the server gives the file, or else that of its path."""
    header = answer.headers.get("content-disposition", "").encode("latin-1")
    path = urlsplit(answer.url).path.encode()
    given = content_disposition.read(header, is_percent_encoded=True).filename
    return titles.clean(given or titles.decode(unquote_to_bytes(path)))
