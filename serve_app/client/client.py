"""A client of the service that does not give up easily."""

import os
import time
from collections.abc import Callable, Mapping
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
    not_understood,
    read_object,
    sent,
)
from serve_app.client.job import RemoteJob, RemoteStem, Ticket, read_job, read_ticket
from serve_app.client.retry import OnRetry, Pause, RetryPolicy, TryAgain, retrying
from serve_app.client.transfer import Download, OnFraction, Upload
from serve_app.errors import AppError, Cancelled, InvalidInput
from serve_app.filenames import titles

Result = TypeVar("Result")
OnJob = Callable[[RemoteJob], None]
File = str | os.PathLike[str]

DEFAULT_URL = "http://127.0.0.1:8000"
POLL_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
# Silence for this long is a dead connection, but a song is decoded, and may have to
# wait to be analysed, before its upload is answered.
_SILENCE_SECONDS = 60.0
_UPLOAD_SECONDS = 600.0
_NOTHING: Mapping[str, str] = {}


class Client:
    """A server at `base_url`, for any number of threads. Close it, or use it in `with`.

    Network errors, 5xx and 429 are tried again as `policy` says; then a call raises
    ServerUnreachable, or Refused with the server's answer. Other errors of the server
    are raised at once. All waiting is done by `pause`, which may raise to end the call;
    `on_retry` is told the error and the seconds before each wait. `headers` go to
    `base_url` alone, as does a user name in it: other hosts that the server names, for
    stems in S3 say, never get them.
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
        # Whether the server is there, as far as is known: it answered the last call.
        self._has_answered = False
        self._http = httpx.Client(
            timeout=httpx.Timeout(
                _SILENCE_SECONDS, connect=_CONNECT_SECONDS, pool=None
            ),
            event_hooks={
                "request": [Credentials(self._base_url, headers)],
                "response": [self._note_answer],
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
        """Return if the server is there and well; it is the cheapest call."""
        self._persist(lambda: self._send("GET", f"{self._base_url}/ping"))

    def separate(
        self,
        song: File,
        options: Mapping[str, str] = _NOTHING,
        on_progress: OnFraction | None = None,
    ) -> Ticket:
        """Send a song with its options (`model`, `stems`, …) and get a ticket.

        However often it has to be sent, the server makes one job of it. `on_progress`
        gets the fraction sent. Raises InvalidInput where the song can't be read.
        """
        # One name for all tries of this call: an answer that was lost is given again.
        once = {"Idempotency-Key": str(uuid4())}
        answer = self._upload("/separate", Path(song), options, once, on_progress)
        try:
            return read_ticket(answer, self._base_url)
        except ValueError as err:
            raise Refused(
                f"{self._base_url} took the song but named no job: check the address.",
                200,
            ) from err

    def analyze(
        self,
        song: File,
        on_progress: OnFraction | None = None,
        bpm_range: tuple[float, float] | None = None,
    ) -> Analysis:
        """Send a song and return what the server found out about it.

        `bpm_range` is between which tempos the song's is, if that is known. Raises
        InvalidInput where the song can't be read.
        """
        fields = _NOTHING
        if bpm_range is not None:
            low, high = bpm_range
            fields = {"bpm_range": f"{low:g}-{high:g}"}
        answer = self._upload("/analyze", Path(song), fields, _NOTHING, on_progress)
        try:
            return read_analysis(answer)
        except ValueError as err:
            raise Refused(
                f"{self._base_url} took the song but gave no tempo and key: check the "
                "address.",
                200,
            ) from err

    def job(self, ticket: Ticket) -> RemoteJob:
        """Return how far a job is; Refused with `http_status` 404 once it is gone."""
        return self._job(ticket, ticket.url)

    def _job(self, ticket: Ticket, url: str) -> RemoteJob:
        def attempt() -> RemoteJob:
            with sent(self._http, built(self._http, "GET", url)) as answer:
                try:
                    return read_job(read_object(answer), ticket.base_url)
                except ValueError as err:
                    raise not_understood(answer) from err

        try:
            return self._persist(attempt, self._job_policy)
        except ServerUnreachable as err:
            raise ServerUnreachable(
                f"{err.detail} The song was accepted, as job {ticket.job_id}, and goes "
                f"on when the server is back: {ticket.url} then says how far it is."
            ) from err

    def wait(
        self,
        ticket: Ticket,
        on_progress: OnJob | None = None,
        timeout_seconds: float = inf,
    ) -> RemoteJob:
        """Return the job once it is completed, asking every 2 s.

        The server is asked to answer earlier if the job is over; older ones don't.
        Raises JobFailed with the server's reason, Cancelled, or WaitTimedOut.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            asked = time.monotonic()
            job = self._job(ticket, f"{ticket.url}?wait={POLL_SECONDS:g}")
            if on_progress is not None:
                on_progress(job)
            if _is_completed(job):
                return job
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise WaitTimedOut(
                    f"The job is {job.status} ({job.progress:.0%}) after "
                    f"{timeout_seconds:g} s. It goes on: wait again, or cancel it."
                )
            rest_seconds = max(0.0, POLL_SECONDS - (time.monotonic() - asked))
            self._pause(min(rest_seconds, left_seconds))

    def download(
        self, stem: RemoteStem, path: File, on_progress: OnFraction | None = None
    ) -> Path:
        """Download a stem to `path`, or into it if it is a directory; return the file.

        The file is replaced by the whole stem or left alone. A download that was cut
        goes on where it stopped. `on_progress` gets the fraction done. Raises
        InvalidInput where nothing can be written.
        """
        path = Path(path)
        path = path / stem.filename if path.is_dir() else path
        try:
            with Download(stem, path, on_progress) as download:
                self._persist(lambda: download.attempt(self._http), self._job_policy)
        except OSError as err:
            raise InvalidInput(f"{path} can't be written: {err.strerror}.") from err
        return path

    def export(self, ticket: Ticket, format: str, path: File) -> Path:
        """Download an export of a job, such as `rekordbox`, to `path`; return the file.

        The server makes it when it is first asked for. Raises Refused for a form that
        there is not, and while there are no stems for one that needs them.
        """
        url = f"{ticket.url}/export?{urlencode({'format': format})}"
        return self.download(RemoteStem(format, "", url), path)

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a job and delete its files, if the server can be reached: one try."""
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
                    timeout=httpx.Timeout(_UPLOAD_SECONDS, connect=_CONNECT_SECONDS),
                )
                with sent(self._http, request) as answer:
                    return read_object(answer)

        try:
            return self._persist(attempt)
        except OSError as err:
            raise InvalidInput(f"{song} can't be read: {err.strerror}.") from err

    def _persist(
        self, attempt: Callable[[], Result], policy: RetryPolicy | None = None
    ) -> Result:
        """Make an attempt until it succeeds or the policy ends it."""
        policy = policy or self._policy
        misses = 0

        def guarded() -> Result:
            nonlocal misses
            try:
                return attempt()
            except TryAgain as again:
                misses += again.is_away and not self._has_answered
                if misses >= policy.first_contact_tries:
                    raise again.error from again.__cause__
                raise

        try:
            return retrying(guarded, policy, self._pause, self._on_retry)
        except ServerUnreachable:
            # The calls that follow find that out sooner, until it is back.
            self._has_answered = False
            raise

    def _note_answer(self, answer: httpx.Response) -> None:
        self._has_answered = True


def _is_completed(job: RemoteJob) -> bool:
    """Whether a job has its stems; raises if it never will have any."""
    if job.status == "failed":
        raise JobFailed(job.error or "The server gives no reason. Try again.")
    if job.status == "cancelled":
        raise Cancelled("The job was cancelled on the server.")
    return job.status == "completed"
