"""A file from an address that a stranger gave us, onto our disk."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import httpcore

from serve_app.errors import Cancelled, UnreachableUrl, UploadTooLarge
from serve_app.filenames import content_disposition, titles
from serve_app.outbound.client import OutboundClient, OutboundResponse
from serve_app.outbound.partial_file import PartialFile, WrongRange

logger = logging.getLogger(__name__)

# So many tries in a row that bring no new byte fail.
_MOST_IDLE_TRIES = 3
_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE = 200, 206, 416
_CUT = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    WrongRange,
)


@dataclass(frozen=True)
class DownloadLimits:
    """How large a file may be, and how long it may take in all."""

    max_bytes: int
    max_seconds: float


def fetch(
    asker: OutboundClient,
    url: str,
    path: Path,
    limits: DownloadLimits,
    is_wanted: Callable[[], bool] = lambda: True,
) -> str:
    """Bring the file at `url` to `path`; return the name that its server gives it.

    A download that is cut continues by Range where the server says that the file is
    still the same, however often that is, until three tries in a row bring nothing or
    the time is up. Raises RefusedUrl, UploadTooLarge, UnreachableUrl, which says what
    went wrong, and Cancelled once `is_wanted` returns False; a part of the file may lie
    at `path` then.
    """
    deadline = time.monotonic() + limits.max_seconds
    most_bytes = idle_tries = 0
    with path.open("wb") as file:
        partial = PartialFile(file)
        download = _Download(asker, url, limits, deadline, is_wanted)
        while True:
            try:
                return download.attempt(partial)
            except _CUT as err:
                reason = str(err) or type(err).__name__
            idle_tries = 0 if partial.size_bytes > most_bytes else idle_tries + 1
            most_bytes = max(most_bytes, partial.size_bytes)
            if idle_tries == _MOST_IDLE_TRIES or time.monotonic() > deadline:
                raise UnreachableUrl(f"The URL could not be fetched whole: {reason}.")
            logger.warning("download cut bytes=%d: %s", partial.size_bytes, reason)


@dataclass(frozen=True)
class _Download:
    """Tries at one file, each of which continues where the last one ended."""

    asker: OutboundClient
    url: str
    limits: DownloadLimits
    deadline: float
    is_wanted: Callable[[], bool]

    def attempt(self, partial: PartialFile) -> str:
        """Append what is missing; return the file's name once it is whole."""
        headers = partial.request_headers()
        with self.asker.get(self.url, headers, self.deadline) as answer:
            if answer.status == _RANGE_NOT_SATISFIABLE and partial.size_bytes:
                partial.restart()
                raise WrongRange("the server no longer has the rest of the file")
            if answer.status not in (_OK, _PARTIAL):
                raise UnreachableUrl(
                    f"The server of the URL answers {answer.status} instead of a song."
                )
            partial.begin(answer.status, answer.headers)
            self._check_size(partial.total_bytes or 0)
            for chunk in answer.body:
                if not self.is_wanted():
                    raise Cancelled("The file is not wanted any more.")
                partial.write(chunk)
                self._check_size(partial.size_bytes)
            if not partial.is_whole:
                raise WrongRange("the server sent only a part of the rest")
            return _name(answer)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self.limits.max_bytes:
            raise UploadTooLarge(
                f"The file at the URL is larger than {self.limits.max_bytes} bytes."
            )


def _name(answer: OutboundResponse) -> str:
    """Return the title that the server gives the file, or else that of its path."""
    header = answer.headers.get("content-disposition", "").encode("latin-1")
    path = urlsplit(answer.url).path.encode()
    given = content_disposition.read(header, is_percent_encoded=True).filename
    return titles.clean(given or titles.decode(unquote_to_bytes(path)))
