"""A client of the service that does not give up easily."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from serve_app import titles
from serve_app.client.errors import JobFailed, Refused
from serve_app.client.exchange import not_understood, read_object, sent
from serve_app.client.job import RemoteJob, RemoteStem, Ticket, read_job, read_ticket
from serve_app.client.retry import Pause, RetryPolicy, retrying
from serve_app.client.transfer import Download, OnFraction, Upload
from serve_app.errors import AppError, Cancelled, InvalidInput

OnJob = Callable[[RemoteJob], None]

POLL_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
# Silence for this long is a dead connection, but a song is decoded, and may have to
# wait to be analysed, before its upload is answered.
_SILENCE_SECONDS = 60.0
_UPLOAD_SECONDS = 600.0
_NO_OPTIONS: Mapping[str, str] = {}


class Client:
    """A server at `base_url`, for any number of threads. Close it, or use it in `with`.

    Every call raises Refused when the server says no and ServerUnreachable when it
    still does not answer after `policy.tries`; network errors, 5xx and 429 are tried
    again. All waiting is done by `pause`, which may raise to end the call.
    """

    def __init__(
        self,
        base_url: str,
        policy: RetryPolicy | None = None,
        pause: Pause = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._policy = policy or RetryPolicy()
        self._pause = pause
        self._http = httpx.Client(
            timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS, pool=None)
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def separate(
        self,
        song: Path,
        options: Mapping[str, str] = _NO_OPTIONS,
        on_progress: OnFraction | None = None,
    ) -> Ticket:
        """Send a song with its options (`model`, `stems`, …) and get a ticket.

        A song whose answer was lost is sent again; the server then has two jobs of it,
        of which one expires without having been asked for.
        """
        answer = self._upload("/separate", song, options, on_progress)
        try:
            return read_ticket(answer, self._base_url)
        except ValueError as err:
            raise Refused(
                f"{self._base_url} took the song but named no job: check the address.",
                200,
            ) from err

    def analyze(
        self, song: Path, on_progress: OnFraction | None = None
    ) -> Mapping[str, Any]:
        """Send a song and return what the server found out about it."""
        return self._upload("/analyze", song, _NO_OPTIONS, on_progress)

    def job(self, ticket: Ticket) -> RemoteJob:
        """Return how far a job is; Refused with `http_status` 404 once it is gone."""
        return self._job(ticket, ticket.url)

    def _job(self, ticket: Ticket, url: str) -> RemoteJob:
        def attempt() -> RemoteJob:
            with sent(self._http, self._request("GET", url)) as answer:
                try:
                    return read_job(read_object(answer), ticket.base_url)
                except ValueError as err:
                    raise not_understood(answer) from err

        return retrying(attempt, self._policy, self._pause)

    def wait(self, ticket: Ticket, on_progress: OnJob | None = None) -> RemoteJob:
        """Return the job once it is completed, asking every 2 s.

        The server is asked to answer earlier if the job is over; older ones don't.
        Raises JobFailed with the server's reason, or Cancelled.
        """
        while True:
            asked = time.monotonic()
            job = self._job(ticket, f"{ticket.url}?wait={POLL_SECONDS:g}")
            if on_progress is not None:
                on_progress(job)
            if job.status == "completed":
                return job
            if job.status == "failed":
                raise JobFailed(job.error or "The server gives no reason. Try again.")
            if job.status == "cancelled":
                raise Cancelled("The job was cancelled on the server.")
            self._pause(max(0.0, POLL_SECONDS - (time.monotonic() - asked)))

    def download(
        self, stem: RemoteStem, path: Path, on_progress: OnFraction | None = None
    ) -> None:
        """Fetch a stem to `path`, which is replaced by the whole file or left alone.

        A download that was cut goes on where it stopped. Raises InvalidInput where
        nothing can be written.
        """
        try:
            with Download(stem, path, on_progress) as download:
                retrying(
                    lambda: download.attempt(self._http), self._policy, self._pause
                )
        except OSError as err:
            raise InvalidInput(f"{path} can't be written: {err.strerror}.") from err

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a job and delete its files, if the server can be reached: one try."""
        with suppress(AppError):
            once = RetryPolicy(tries=1)
            retrying(lambda: self._delete(ticket), once, self._pause)

    def _delete(self, ticket: Ticket) -> None:
        with sent(self._http, self._request("DELETE", ticket.url)):
            pass

    def _upload(
        self,
        path: str,
        song: Path,
        fields: Mapping[str, str],
        on_progress: OnFraction | None,
    ) -> Mapping[str, Any]:
        name = titles.of_file(song)

        def attempt() -> Mapping[str, Any]:
            with Upload(song, on_progress) as file:
                request = self._request(
                    "POST",
                    f"{self._base_url}{path}",
                    data=fields,
                    files={"file": (name, file)},
                    timeout=httpx.Timeout(_UPLOAD_SECONDS, connect=_CONNECT_SECONDS),
                )
                with sent(self._http, request) as answer:
                    return read_object(answer)

        try:
            return retrying(attempt, self._policy, self._pause)
        except OSError as err:
            raise InvalidInput(f"{song} can't be read: {err.strerror}.") from err

    def _request(self, method: str, url: str, **body: Any) -> httpx.Request:
        try:
            return self._http.build_request(method, url, **body)
        except (httpx.InvalidURL, UnicodeError) as err:
            raise InvalidInput(f"{url} is no address of a server: {err}.") from err
