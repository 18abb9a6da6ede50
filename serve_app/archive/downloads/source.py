"""Requests to the servers that media comes from, with their tries."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Lock
from typing import TypeVar

from serve_app.archive.errors import (
    BrokenMedia,
    ProtectedMedia,
    SourceBusy,
    SourceFailed,
)
from serve_app.errors import AppError, Cancelled
from serve_app.outbound.client import NO_RESPONSE, OutboundClient, OutboundResponse
from serve_app.outbound.partial_file import WrongRange

# Tries in a row without a new byte after which a download fails.
_MAX_IDLE_TRIES = 3
_OK = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_CREDENTIALS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
)
_IDENTITY = {"Accept-Encoding": "identity"}
_DEFAULT_DELAY_SECONDS = 60.0
_MIN_DELAY_SECONDS, _MAX_DELAY_SECONDS = 1.0, 3600.0
_LONGEST_PAUSE_SECONDS = 30.0
_POLL_SECONDS = 0.1

T = TypeVar("T")


class ServerError(Exception):
    """The server responded with a status from 500 on, which may pass."""


# The errors after which the same request is sent again.
INTERRUPTED = (*NO_RESPONSE, WrongRange, ServerError)


class Tally:
    """Counts the bytes of all responses, and those that were not received before."""

    def __init__(self) -> None:
        self.fetched_bytes = 0
        self.new_bytes = 0
        self._lock = Lock()

    def add(self, fetched_bytes: int, new_bytes: int) -> None:
        """Count some bytes of a body."""
        with self._lock:
            self.fetched_bytes += fetched_bytes
            self.new_bytes += new_bytes


@dataclass(frozen=True)
class Document:
    """A small body, and the URL that it came from in the end."""

    url: str
    body: bytes


@dataclass(frozen=True)
class Source:
    """The servers of one download: what they send is counted in `tally`.

    A request is interrupted after `stall_seconds` without a byte. `pause_seconds` is
    the pause after the first try without a new byte; it doubles after each.
    """

    client: OutboundClient
    stall_seconds: float
    pause_seconds: float
    tally: Tally
    is_wanted: Callable[[], bool]

    def check_wanted(self) -> None:
        """Raise Cancelled if the download is not wanted any more."""
        if not self.is_wanted():
            raise Cancelled("The download was cancelled.")

    @contextmanager
    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        accepted: tuple[int, ...] = _OK,
        forbidden: type[AppError] = SourceFailed,
    ) -> Iterator[OutboundResponse]:
        """Send GET to `url`; the body is read by `chunks`.

        Raises RefusedUrl, SourceBusy, ProtectedMedia if credentials are required,
        `forbidden` for 403, SourceFailed for other statuses, and INTERRUPTED.
        """
        deadline = time.monotonic() + self.stall_seconds
        with self.client.get(url, headers, deadline, self.is_wanted) as response:
            if response.status not in accepted:
                raise _refusal(response, forbidden)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise SourceFailed(
                    "The source compresses its response, although the request forbids "
                    "it: its size can't be checked."
                )
            yield response

    def chunks(self, response: OutboundResponse) -> Iterator[bytes]:
        """Yield a response's body; each chunk moves its deadline."""
        for chunk in response.body:
            response.prolong(time.monotonic() + self.stall_seconds)
            yield chunk

    def document(
        self, url: str, max_bytes: int, forbidden: type[AppError] = SourceFailed
    ) -> Document:
        """Return a small document, read into memory."""
        most_bytes = 0

        def read() -> Document:
            nonlocal most_bytes
            body = b""
            with self.get(url, _IDENTITY, (HTTPStatus.OK,), forbidden) as response:
                for chunk in self.chunks(response):
                    body += chunk
                    self.tally.add(len(chunk), max(0, len(body) - most_bytes))
                    most_bytes = max(most_bytes, len(body))
                    if len(body) > max_bytes:
                        raise BrokenMedia(
                            f"A playlist or key must have at most {max_bytes} bytes."
                        )
                return Document(response.url, body)

        return self.until_done(read)

    def until_done(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, which is tried again while bytes arrive.

        Raises SourceFailed after three tries in a row during which the download, not
        only this part of it, received no new byte.
        """
        idle_tries, known_bytes = 0, self.tally.new_bytes
        while True:
            self.check_wanted()
            try:
                return work()
            except INTERRUPTED as err:
                reason = str(err) or type(err).__name__
            is_idle = self.tally.new_bytes == known_bytes
            known_bytes = self.tally.new_bytes
            idle_tries = idle_tries + 1 if is_idle else 0
            if idle_tries == _MAX_IDLE_TRIES:
                raise SourceFailed(
                    f"The source stopped sending: {reason}. {_MAX_IDLE_TRIES} tries "
                    "brought nothing more."
                )
            self._pause(idle_tries)

    def _pause(self, idle_tries: int) -> None:
        if not idle_tries:
            return
        seconds = self.pause_seconds * 2 ** (idle_tries - 1)
        end = time.monotonic() + min(seconds, _LONGEST_PAUSE_SECONDS)
        while (left := end - time.monotonic()) > 0:
            self.check_wanted()
            time.sleep(min(left, _POLL_SECONDS))


def _refusal(response: OutboundResponse, forbidden: type[AppError]) -> Exception:
    status = response.status
    named = f"{status} {_phrase(status)}".strip()
    if status in _BUSY:
        delay_seconds = retry_after_seconds(
            response.headers.get("retry-after", ""), datetime.now(UTC)
        )
        return SourceBusy(
            f"The source responded with {named}: it is left alone for "
            f"{delay_seconds:.0f} seconds.",
            delay_seconds,
        )
    if status in _CREDENTIALS:
        return ProtectedMedia(
            f"The source requires credentials (it responded with {named}). Protected "
            "media is not fetched."
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError(f"it responded with {named}")
    error = forbidden if status == HTTPStatus.FORBIDDEN else SourceFailed
    return error(f"The source responded with {named}. Check the URL.")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def retry_after_seconds(header: str, now: datetime) -> float:
    """Return the delay that a server asks for: from 1 s to 1 h, 60 s by default.

    RFC 9110, 10.2.3: a number of seconds, or a date.
    """
    text = header.strip()
    seconds = _DEFAULT_DELAY_SECONDS
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    elif text:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return seconds
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, _MIN_DELAY_SECONDS), _MAX_DELAY_SECONDS)
