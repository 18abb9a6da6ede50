"""Streams that continue on a new connection where the last one ended."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx

from serve_app.client.errors import Refused, ServerUnreachable, WaitTimedOut
from serve_app.client.exchange import built, sent, unexpected
from serve_app.client.job import RemoteJob, Ticket, read_job
from serve_app.client.retry import OnRetry, Pause, RetryPolicy, Streak, TryAgain
from serve_app.outbound.partial_file import parsed_range, validator

Result = TypeVar("Result")

_NO_CONTENT, _PARTIAL_CONTENT = 204, 206
_EVENT_STREAM = "text/event-stream"
# Servers send something at least every 15 s, except in a playback.
_SILENCE_SECONDS = 60.0
# After a shorter one the retries continue to slow down, so that a server that ends
# each stream at once is not asked without a pause.
_SHORTEST_STREAM_SECONDS = 1.0
# The largest delay that is taken from a server.
_LONGEST_RETRY_SECONDS = 60.0


class Deadline:
    """When a call must end, in the time of `monotonic`."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._ends_at = time.monotonic() + timeout_seconds

    @property
    def left_seconds(self) -> float:
        """The time left."""
        return max(0.0, self._ends_at - time.monotonic())

    def check(self) -> None:
        """Raise WaitTimedOut if it has passed."""
        if not self.left_seconds:
            raise WaitTimedOut(
                f"The job was not over after {self._timeout_seconds:g} s. It "
                "continues: follow it again, or cancel it."
            )


@dataclass(frozen=True)
class Reconnecting:
    """How to come back to streams that ended early.

    The first retry is immediate, later ones wait as `policy` says, up to half of it
    less, so that clients do not come back together. `on_failure` is called with each
    failed attempt and may raise.
    """

    policy: RetryPolicy
    pause: Pause
    on_retry: OnRetry | None
    on_failure: Callable[[TryAgain], None]
    jitter: Callable[[], float] = random.random

    def items(
        self, attempt: Callable[[], Iterator[Result]], deadline: Deadline
    ) -> Iterator[Result]:
        """Yield what `attempt` yields, again and again while it raises TryAgain."""
        streak = Streak(self.policy, self._delay_seconds)
        while True:
            began = time.monotonic()
            try:
                yield from attempt()
                return
            except TryAgain as again:
                deadline.check()
                self.on_failure(again)
                delay = streak.delay_seconds(again, time.monotonic() - began)
                if delay is None:
                    raise again.error from again.__cause__
                if self.on_retry is not None and not again.has_progressed:
                    self.on_retry(again.error, delay)
                self.pause(min(delay, deadline.left_seconds))

    def _delay_seconds(self, failures: int) -> float:
        if failures < 2:
            return 0.0
        return self.policy.delay_seconds(failures - 1) * (1 - self.jitter() / 2)


class EventStream:
    """The events of a job. `retry_seconds` is how long to wait when the stream ends."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._last_id = ""
        self._retry_seconds = 0.0

    def read(self, http: httpx.Client, deadline: Deadline) -> Iterator[RemoteJob]:
        """Yield the job at each event since the last one, until it is over.

        Raises TryAgain if the stream ends before.
        """
        headers = {"Accept": _EVENT_STREAM, "Cache-Control": "no-cache"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        with _opened(http, f"{self._ticket.url}/events", headers, deadline) as stream:
            response = stream.response
            if response.status_code == _NO_CONTENT:
                return
            kind = response.headers.get("content-type", "")
            if not kind.lower().startswith(_EVENT_STREAM):
                raise unexpected(response)
            for event in _events(response.iter_bytes()):
                if event.retry_seconds is not None:
                    self._retry_seconds = event.retry_seconds
                    stream.after_seconds = self._retry_seconds
                if event.data is not None:
                    job = self._job(event.data, response)
                    self._last_id = event.id or self._last_id
                    yield job
                    if job.is_over:
                        return
                deadline.check()
            raise stream.ended_early()

    def _job(self, data: str, response: httpx.Response) -> RemoteJob:
        try:
            return read_job(json.loads(data), self._ticket.base_url)
        except (ValueError, AttributeError) as err:
            raise unexpected(response) from err


class Playback:
    """The bytes of a stem that is being made, each of them once."""

    def __init__(self, ticket: Ticket, stem: str) -> None:
        self._url = f"{ticket.url}/stems/{stem}?follow=1"
        self._done_bytes = 0
        self._total_bytes: int | None = None
        self._version: str | None = None

    def read(self, http: httpx.Client, deadline: Deadline) -> Iterator[bytes]:
        """Yield the bytes that are missing; raise TryAgain if the stream ends before.

        Raises Refused if the server does not send exactly these.
        """
        # A Range, also from 0, tells the server that this client can come back.
        headers = {
            "Accept-Encoding": "identity",
            "Range": f"bytes={self._done_bytes}-",
        }
        if self._version is not None:
            headers["If-Range"] = self._version
        with _opened(http, self._url, headers, deadline) as stream:
            self._begin(stream.response)
            for chunk in stream.response.iter_raw():
                self._done_bytes += len(chunk)
                yield chunk
                deadline.check()
            if self._total_bytes not in (None, self._done_bytes):
                raise stream.ended_early()

    def _begin(self, response: httpx.Response) -> None:
        """Check that the response begins with the first missing byte."""
        headers = response.headers
        if response.status_code == _PARTIAL_CONTENT:
            start, total = parsed_range(headers.get("content-range", "")) or (-1, None)
        else:
            length = headers.get("content-length", "")
            start, total = 0, int(length) if length.isdecimal() else None
        is_same = self._version in (None, validator(headers))
        is_first = not self._done_bytes
        # Without a version, the bytes may be those of another representation.
        has_version = is_first or self._version is not None
        if start != self._done_bytes or not (is_same and has_version):
            raise Refused(
                f"The server can't continue {self._url} after {self._done_bytes} "
                "bytes. Follow it again from its start, or download it when the job "
                "is completed.",
                response.status_code,
            )
        self._version, self._total_bytes = validator(headers), total


class _Opened:
    """A response that is being received; TryAgain for its end."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.after_seconds = 0.0

    def ended_early(self) -> TryAgain:
        """Return the error for a stream that the server ended."""
        url = self.response.url
        return TryAgain(
            ServerUnreachable(f"The server ended {url} early. Try again."),
            is_unavailable=True,
        )


@contextmanager
def _opened(
    http: httpx.Client, url: str, headers: dict[str, str], deadline: Deadline
) -> Iterator[_Opened]:
    """Open a stream; TryAgain raised after its start asks for an early retry."""
    timeout = httpx.Timeout(
        min(_SILENCE_SECONDS, max(deadline.left_seconds, 0.001)),
        connect=http.timeout.connect,
        pool=None,
    )
    stream: _Opened | None = None
    began = time.monotonic()
    request = built(http, "GET", url, headers=headers, timeout=timeout)
    try:
        with sent(http, request, follow_redirects=True) as response:
            stream, began = _Opened(response), time.monotonic()
            yield stream
    except TryAgain as again:
        if stream is not None:
            lasted_seconds = time.monotonic() - began
            again.has_progressed = lasted_seconds >= _SHORTEST_STREAM_SECONDS
            again.after_seconds = max(again.after_seconds, stream.after_seconds)
        raise


@dataclass(frozen=True)
class _Event:
    """An event; each field may be missing."""

    id: str | None = None
    data: str | None = None
    retry_seconds: float | None = None


def _events(chunks: Iterator[bytes]) -> Iterator[_Event]:
    """Yield the complete events of a stream (WHATWG HTML, section 9.2.6).

    A comment is an event without fields. An event that is cut off is not yielded.
    """
    block: list[str] = []
    for line in _lines(chunks):
        if line:
            block.append(line)
        elif block:
            yield _event(block)
            block = []


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield the complete lines of a stream, without their ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def _event(block: list[str]) -> _Event:
    fields: dict[str, list[str]] = {}
    for line in block:
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    retry = fields.get("retry", [""])[-1]
    seconds = None
    if retry.isascii() and retry.isdecimal():
        seconds = min(int(retry) / 1000, _LONGEST_RETRY_SECONDS)
    return _Event(
        fields["id"][-1] if "id" in fields else None,
        "\n".join(fields["data"]) if "data" in fields else None,
        seconds,
    )
