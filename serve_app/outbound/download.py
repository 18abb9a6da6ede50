"""Resumable downloads of files whose URLs clients give."""

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

# Attempts in a row without a new byte after which a download fails.
_MAX_IDLE_ATTEMPTS = 3
_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE = 200, 206, 416
_CUT = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    WrongRange,
)


@dataclass(frozen=True)
class DownloadLimits:
    """The maximum size of a file, and the maximum time for all attempts together."""

    max_bytes: int
    max_seconds: float


def fetch(
    asker: OutboundClient,
    url: str,
    path: Path,
    limits: DownloadLimits,
    is_wanted: Callable[[], bool] = lambda: True,
) -> str:
    """Download the file at `url` to `path`; return its name, as its server gives it.

    If the connection breaks, the download is resumed by Range, provided that the file
    is still the same. It fails after three attempts in a row without a new byte, or
    when the time is up. Raises RefusedUrl, UploadTooLarge, UnreachableUrl with the
    reason, and Cancelled once `is_wanted` returns False. After an error, `path` may
    have the first bytes of the file.
    """
    deadline = time.monotonic() + limits.max_seconds
    most_bytes = idle_attempts = 0
    with path.open("wb") as file:
        partial = PartialFile(file)
        download = _Download(asker, url, limits, deadline, is_wanted)
        while True:
            try:
                return download.attempt(partial)
            except _CUT as err:
                reason = str(err) or type(err).__name__
            idle_attempts = 0 if partial.size_bytes > most_bytes else idle_attempts + 1
            most_bytes = max(most_bytes, partial.size_bytes)
            if idle_attempts == _MAX_IDLE_ATTEMPTS or time.monotonic() > deadline:
                raise UnreachableUrl(
                    f"The download failed: {reason}. Check the URL, or upload the song."
                )
            logger.warning(
                "download interrupted bytes=%d error=%s", partial.size_bytes, reason
            )


@dataclass(frozen=True)
class _Download:
    """Attempts to download a file, each of which continues the last one."""

    asker: OutboundClient
    url: str
    limits: DownloadLimits
    deadline: float
    is_wanted: Callable[[], bool]

    def attempt(self, partial: PartialFile) -> str:
        """Append the missing bytes; return the file's name once it is complete."""
        headers = partial.request_headers()
        with self.asker.get(self.url, headers, self.deadline) as answer:
            if answer.status == _RANGE_NOT_SATISFIABLE and partial.size_bytes:
                partial.restart()
                raise WrongRange("the server no longer has the rest of the file")
            if answer.status not in (_OK, _PARTIAL):
                raise UnreachableUrl(
                    f"The server of the URL responded with status {answer.status}."
                )
            partial.begin(answer.status, answer.headers)
            self._check_size(partial.total_bytes or 0)
            for chunk in answer.body:
                if not self.is_wanted():
                    raise Cancelled("The download was cancelled.")
                partial.write(chunk)
                self._check_size(partial.size_bytes)
            if not partial.is_whole:
                raise WrongRange("the server sent fewer bytes than it stated")
            return _name(answer)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self.limits.max_bytes:
            raise UploadTooLarge(
                f"The file at the URL must have at most {self.limits.max_bytes} bytes."
            )


def _name(answer: OutboundResponse) -> str:
    """Return the title that the server gives the file, or else that of its path."""
    header = answer.headers.get("content-disposition", "").encode("latin-1")
    path = urlsplit(answer.url).path.encode()
    given = content_disposition.read(header, is_percent_encoded=True).filename
    return titles.clean(given or titles.decode(unquote_to_bytes(path)))
