"""The client: one method per call, each with retries."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from serve_app.client.analysis import Analysis, read_analysis
from serve_app.client.errors import JobFailed, Refused, ServerUnreachable, WaitTimedOut
from serve_app.client.exchange import (
    Credentials,
    built,
    read_object,
    sent,
    unexpected,
)
from serve_app.client.job import RemoteJob, RemoteStem, Ticket, read_job, read_ticket
from serve_app.client.retry import OnRetry, Pause, RetryPolicy, TryAgain, retrying
from serve_app.client.streams import Deadline, EventStream, Playback, Reconnecting
from serve_app.client.transfer import Download, OnFraction, Upload
from serve_app.errors import AppError, Cancelled, InvalidInput, not_written
from serve_app.filenames import titles

Result = TypeVar("Result")
OnJob = Callable[[RemoteJob], None]
File = str | os.PathLike[str]

DEFAULT_URL = "http://127.0.0.1:8000"
POLL_SECONDS = 2.0
_CONNECT_TIMEOUT_SECONDS = 10.0
_READ_TIMEOUT_SECONDS = 60.0
# The server responds to an upload only after it has decoded the song. An analysis may
# also have to wait for its turn.
_UPLOAD_TIMEOUT_SECONDS = 600.0
_NOTHING: Mapping[str, str] = {}
_CONFLICT = 409


class Client:
    """Client for the server at `base_url`. Close it, or use it in `with`. Thread-safe.

    Network errors and the statuses 5xx and 429 are retried as `policy` says; when the
    retries are used up, a call raises ServerUnreachable, or Refused with the server's
    last error. Other error statuses raise Refused at once. `pause` is called with the
    seconds of every wait and may raise to end the call; `on_retry` is called before
    each retry with the error and the delay in seconds. `headers`, and the user name in
    `base_url`, are sent to that scheme, host and port only, never to other hosts that
    the server links to, such as S3.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        policy: RetryPolicy | None = None,
        pause: Pause = time.sleep,
        headers: Mapping[str, str] = _NOTHING,
        on_retry: OnRetry | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._policy = policy = policy or RetryPolicy()
        self._job_policy = replace(
            policy,
            patience_seconds=max(policy.patience_seconds, policy.job_patience_seconds),
        )
        self._pause = pause
        self._on_retry = on_retry
        # True from the first response on, until a call fails as unreachable.
        self._has_responded = False
        self._http = httpx.Client(
            timeout=httpx.Timeout(
                _READ_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS, pool=None
            ),
            # Each stream has a connection of its own.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            event_hooks={
                "request": [Credentials(self._base_url, headers)],
                "response": [self._note_response],
            },
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ping(self) -> None:
        """Check that the server responds. This is the cheapest call."""
        self._retry(lambda: self._send("GET", f"{self._base_url}/ping"))

    def separate(
        self,
        song: File,
        options: Mapping[str, str] = _NOTHING,
        on_progress: OnFraction | None = None,
    ) -> Ticket:
        """Send a song with its options (`model`, `stems`, …) and return a ticket.

        Retries of one call never create a second job. `on_progress` is called with the
        fraction sent, 0 to 1. Raises InvalidInput if the song can't be read.
        """
        # All attempts of this call share one key: if a response is lost, the server
        # sends the same one again.
        headers = {"Idempotency-Key": str(uuid4())}
        body = self._upload("/separate", Path(song), options, headers, on_progress)
        try:
            return read_ticket(body, self._base_url)
        except ValueError as err:
            raise Refused(
                f"{self._base_url} accepted the song but returned no job id. Check "
                "that this is the address of a stemserve server.",
                200,
            ) from err

    def analyze(
        self,
        song: File,
        on_progress: OnFraction | None = None,
        bpm_range: tuple[float, float] | None = None,
    ) -> Analysis:
        """Send a song and return its analysis.

        `on_progress` is called with the fraction sent, 0 to 1. `bpm_range` gives the
        lowest and the highest possible tempo, if they are known. Raises InvalidInput if
        the song can't be read.
        """
        fields = _NOTHING
        if bpm_range is not None:
            low, high = bpm_range
            fields = {"bpm_range": f"{low:g}-{high:g}"}
        body = self._upload("/analyze", Path(song), fields, _NOTHING, on_progress)
        try:
            return read_analysis(body)
        except ValueError as err:
            raise Refused(
                f"{self._base_url} accepted the song but returned no tempo and key. "
                "Check that this is the address of a stemserve server.",
                200,
            ) from err

    def job(self, ticket: Ticket) -> RemoteJob:
        """Return the current state of a job.

        Raises Refused with `http_status` 404 if the job was deleted or has expired.
        """
        return self._job(ticket, ticket.url)

    def _job(self, ticket: Ticket, url: str) -> RemoteJob:
        def attempt() -> RemoteJob:
            with sent(self._http, built(self._http, "GET", url)) as response:
                try:
                    return read_job(read_object(response), ticket.base_url)
                except ValueError as err:
                    raise unexpected(response) from err

        try:
            return self._retry(attempt, self._job_policy)
        except ServerUnreachable as err:
            raise ServerUnreachable(
                f"{err.detail} The song was accepted as job {ticket.job_id}. The job "
                f"continues when the server is back; see {ticket.url}."
            ) from err

    def wait(
        self,
        ticket: Ticket,
        on_progress: OnJob | None = None,
        timeout_seconds: float = inf,
    ) -> RemoteJob:
        """Poll the job every 2 s and return it once it is completed.

        Each poll is a long poll: servers that support it respond as soon as the job
        ends. `on_progress` is called with the job after each poll. Raises JobFailed
        with the server's reason, Cancelled, or WaitTimedOut.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            polled_at = time.monotonic()
            job = self._job(ticket, f"{ticket.url}?wait={POLL_SECONDS:g}")
            if on_progress is not None:
                on_progress(job)
            if _is_completed(job):
                return job
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise WaitTimedOut(
                    f"The job is still {job.status} ({job.progress:.0%}) after "
                    f"{timeout_seconds:g} s. It continues: wait again, or cancel it."
                )
            rest_seconds = max(0.0, POLL_SECONDS - (time.monotonic() - polled_at))
            self._pause(min(rest_seconds, left_seconds))

    def events(
        self, job: Ticket | str, timeout_seconds: float = inf
    ) -> Iterator[RemoteJob]:
        """Yield the job now and whenever it changes; the last one is over.

        `job` is a ticket, or the id of a job on this client's server. A stream that
        ends early is continued without losing or repeating an event. Raises
        WaitTimedOut.
        """
        ticket, deadline = self._ticket(job), Deadline(timeout_seconds)
        events = EventStream(ticket)
        yield from self._reconnecting().items(
            lambda: events.read(self._http, deadline), deadline
        )

    def follow(
        self, job: Ticket | str, stem: str, timeout_seconds: float = inf
    ) -> Iterator[bytes]:
        """Yield a stem's bytes while it is made: a 16-bit wav, before its gain.

        `job` is a ticket, or the id of a job on this client's server. Of a completed
        job they are those of the finished file. A stream that ends early is continued
        at the next byte; the iterator ends only after the last one. Raises JobFailed,
        Cancelled, WaitTimedOut, or Refused if the server can't continue the stream.
        """
        ticket, deadline = self._ticket(job), Deadline(timeout_seconds)
        playback = Playback(ticket, stem)
        try:
            yield from self._reconnecting().items(
                lambda: playback.read(self._http, deadline), deadline
            )
        except Refused as refused:
            if refused.http_status == _CONFLICT:
                # Raises the reason why the job has no stems.
                _is_completed(self.job(ticket))
            raise

    def _ticket(self, job: Ticket | str) -> Ticket:
        return Ticket(job, self._base_url) if isinstance(job, str) else job

    def _reconnecting(self) -> Reconnecting:
        return Reconnecting(
            self._job_policy,
            self._pause,
            self._on_retry,
            self._first_contact(self._job_policy).failed,
        )

    def download(
        self, stem: RemoteStem, path: File, on_progress: OnFraction | None = None
    ) -> Path:
        """Download a stem to `path`, or into it if it is a directory; return the file.

        An existing file is replaced only when the download is complete. An interrupted
        download resumes where it stopped. `on_progress` is called with the fraction
        done, 0 to 1. Raises InvalidInput if the file can't be written.
        """
        path = Path(path)
        path = path / stem.filename if path.is_dir() else path
        try:
            with Download(stem, path, on_progress) as download:
                self._retry(lambda: download.attempt(self._http), self._job_policy)
        except OSError as err:
            raise not_written(path, err) from err
        return path

    def export(self, ticket: Ticket, format: str, path: File) -> Path:
        """Download an export of a job, such as `rekordbox`, to `path`; return the file.

        The server creates the export at the first request. Raises Refused for an
        unknown format, and for one that needs stems while the job has none.
        """
        url = f"{ticket.url}/export?{urlencode({'format': format})}"
        return self.download(RemoteStem(format, "", url), path)

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a job and delete its files. Makes one attempt and ignores errors."""
        once = RetryPolicy(tries=1, patience_seconds=0.0)
        with suppress(AppError):
            retrying(lambda: self._send("DELETE", ticket.url), once, self._pause)

    def _send(self, method: str, url: str) -> None:
        with sent(self._http, built(self._http, method, url)):
            pass

    def _upload(
        self,
        path: str,
        song: Path,
        fields: Mapping[str, str],
        headers: Mapping[str, str],
        on_progress: OnFraction | None,
    ) -> Mapping[str, Any]:
        name = titles.of_file(song)

        def attempt() -> Mapping[str, Any]:
            with Upload(song, on_progress) as file:
                request = built(
                    self._http,
                    "POST",
                    f"{self._base_url}{path}",
                    headers=headers,
                    data=fields,
                    files={"file": (name, file)},
                    timeout=httpx.Timeout(
                        _UPLOAD_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS
                    ),
                )
                with sent(self._http, request) as response:
                    return read_object(response)

        try:
            return self._retry(attempt)
        except OSError as err:
            raise InvalidInput(f"{song} can't be read: {err.strerror}.") from err

    def _retry(
        self, attempt: Callable[[], Result], policy: RetryPolicy | None = None
    ) -> Result:
        """Call `attempt` until it succeeds or `policy` allows no more retries."""
        policy = policy or self._policy
        contact = self._first_contact(policy)

        def guarded() -> Result:
            try:
                return attempt()
            except TryAgain as again:
                contact.failed(again)
                raise

        try:
            return retrying(guarded, policy, self._pause, self._on_retry)
        except ServerUnreachable:
            # Until it is back, later calls make only `first_contact_tries` attempts.
            self._has_responded = False
            raise

    def _first_contact(self, policy: RetryPolicy) -> "_FirstContact":
        return _FirstContact(policy.first_contact_tries, lambda: self._has_responded)

    def _note_response(self, response: httpx.Response) -> None:
        self._has_responded = True


class _FirstContact:
    """The failed attempts of one call to a server that has not responded yet."""

    def __init__(self, most: int, has_responded: Callable[[], bool]) -> None:
        self._left = most
        self._has_responded = has_responded

    def failed(self, again: TryAgain) -> None:
        """Count a failed attempt; raise its error if there are too many."""
        self._left -= again.is_unavailable and not self._has_responded()
        if self._left <= 0:
            raise again.error from again.__cause__


def _is_completed(job: RemoteJob) -> bool:
    """Return whether a job is completed; raise if it failed or was cancelled."""
    if job.status == "failed":
        raise JobFailed(
            job.error or "The server gave no reason. Submit the song again."
        )
    if job.status == "cancelled":
        raise Cancelled("The job was cancelled on the server.")
    return job.status == "completed"
