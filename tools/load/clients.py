"""The clients of a load: what each sends, again and again.

The same classes run in threads (`tools/load/plain.py`) and in locust's greenlets
(`tools/load/locustfile.py`).
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import requests
from requests import Response

from tools.load.jobs import Jobs
from tools.load.measures import Recorder
from tools.load.profile import Profile

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_PIECE_BYTES = 1 << 16
_IDLE_SECONDS = 0.2
_FIRST_EVENT = "GET /job/{id}/events, first event"
# The comment of a stream that ends before its job, of a client that shall come back.
_RECONNECT = b": reconnect"
_FINAL = ("completed", "failed", "cancelled")


class WrongResponse(Exception):
    """A response that no server should send; the message says why."""


@dataclass(frozen=True)
class Shared:
    """What all clients of a run share. `fields` are sent with each song."""

    url: str
    key: str
    profile: Profile
    songs: Sequence[bytes]
    jobs: Jobs
    recorder: Recorder
    fields: Mapping[str, str] = field(default_factory=dict)


class Client(Protocol):
    """One client."""

    @property
    def period_seconds(self) -> float:
        """The time from one step to the next; a step that takes longer delays it."""

    def step(self) -> None:
        """Send one request, or follow one job; never raise."""


class Caller:
    """Sends requests and records them. One for each client: it has one connection."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._session = requests.Session()
        # The machine's proxies and netrc are not the load's.
        self._session.trust_env = False
        if shared.key:
            self._session.headers["Authorization"] = f"Bearer {shared.key}"

    def call(
        self,
        method: str,
        path: str,
        *,
        name: str,
        read: Callable[[Response], Any],
        is_right: Callable[[Response], bool] = lambda response: response.ok,
        **options: Any,
    ) -> Any:
        """Send a request; return what `read` makes of a right response, else None.

        The time is that until `read` returns. After 429 it waits as long as the server
        asks for.
        """
        began, wait_seconds, found = time.perf_counter(), 0.0, None
        recorder = self._shared.recorder
        try:
            with self._session.request(
                method,
                path if "://" in path else self._shared.url + path,
                stream=True,
                timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                **options,
            ) as response:
                if response.status_code == 429:
                    wait_seconds = float(response.headers.get("Retry-After", 1))
                    recorder.refused(name, time.perf_counter() - began)
                elif is_right(response):
                    found = read(response)
                    recorder.succeeded(name, time.perf_counter() - began)
                else:
                    reason = f"{response.status_code} {response.text[:200]}"
                    recorder.failed(name, time.perf_counter() - began, reason)
        except (requests.RequestException, WrongResponse, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            recorder.failed(name, time.perf_counter() - began, reason)
        time.sleep(wait_seconds)
        return found

    def job(self, job_id: str) -> Any:
        """Return a job as the server shows it, or None."""
        return self.call(
            "GET",
            f"/job/{job_id}",
            name="GET /job/{id}",
            read=_job,
            is_right=_shows(self._shared.jobs, job_id),
        )


class Uploader:
    """Sends songs; several of them together send at the profile's rate."""

    def __init__(self, shared: Shared) -> None:
        self._shared, self._caller = shared, Caller(shared)
        self._mean_seconds = (
            uploaders(shared.profile) / shared.profile.uploads.per_second
        )

    @property
    def period_seconds(self) -> float:
        """The time to the next song: exponential if the profile is random."""
        if self._shared.profile.uploads.random:
            return random.expovariate(1 / self._mean_seconds)
        return self._mean_seconds

    def step(self) -> None:
        """Send one song."""
        shared = self._shared
        name = f"song.{shared.profile.uploads.format}"
        job_id = self._caller.call(
            "POST",
            "/separate",
            name="POST /separate",
            read=lambda response: response.json()["job_id"],
            files={"file": (name, random.choice(shared.songs))},
            data=shared.fields,
            # Else the server would return the stems of the first one.
            headers={"Cache-Control": "no-cache"},
        )
        if job_id is not None:
            shared.jobs.add(job_id, shared.profile.cancels.share)


class Poller:
    """Requests a job until it has ended, and then another one."""

    def __init__(self, shared: Shared) -> None:
        self._jobs, self._caller = shared.jobs, Caller(shared)
        self.period_seconds = shared.profile.polls.period_seconds
        self._job_id: str | None = None

    def step(self) -> None:
        """Send one request."""
        self._job_id = self._job_id or self._jobs.any()
        if self._job_id is None:
            return
        job = self._caller.job(self._job_id)
        if job is None or job["status"] in _FINAL:
            self._job_id = None


class Listener:
    """Follows the events of a job to its end. Its time is that to the first event."""

    period_seconds = _IDLE_SECONDS

    def __init__(self, shared: Shared) -> None:
        self._shared, self._caller = shared, Caller(shared)

    def step(self) -> None:
        """Follow one job."""
        job_id = self._shared.jobs.any()
        goes_on, events = job_id is not None, _Events(self._shared.recorder)
        while goes_on:
            goes_on = self._caller.call(
                "GET",
                f"/job/{job_id}/events",
                name="GET /job/{id}/events, to the end",
                read=events.read,
                is_right=_shows(self._shared.jobs, str(job_id)),
                headers={"Last-Event-ID": events.last_id} if events.last_id else {},
            )


class _Events:
    """The events of a job, in one or more streams."""

    def __init__(self, recorder: Recorder) -> None:
        self.last_id = ""
        self._recorder = recorder
        self._began = time.perf_counter()

    def read(self, response: Response) -> bool:
        """Read a stream; return whether the server asks its client to come back.

        Raises WrongResponse for one that ends in another way before the job does.
        """
        status, last_line = "", b""
        for line in response.iter_lines():
            if line.startswith(b"data:"):
                status = json.loads(line[5:])["status"]
            elif line.startswith(b"id: "):
                if not self.last_id:
                    seconds = time.perf_counter() - self._began
                    self._recorder.succeeded(_FIRST_EVENT, seconds)
                self.last_id = line[4:].decode()
            elif line.startswith(b":"):
                last_line = line
        if not response.ok or status in _FINAL:
            return False
        if last_line != _RECONNECT:
            raise WrongResponse(f"the events ended with {status or 'nothing'!r}")
        return True


class Downloader:
    """Waits for a job, and downloads its stems."""

    period_seconds = _IDLE_SECONDS

    def __init__(self, shared: Shared) -> None:
        self._jobs, self._caller = shared.jobs, Caller(shared)
        self._job_id: str | None = None

    def step(self) -> None:
        """Look whether the job has ended; if so, download all of its stems."""
        self._job_id = self._job_id or self._jobs.take_to_download()
        if self._job_id is None:
            return
        job = self._caller.job(self._job_id)
        if job is not None and job["status"] not in _FINAL:
            time.sleep(1)
            return
        self._job_id = None
        for stem in (job or {}).get("stems", {}).values():
            self._caller.call(
                "GET", stem["download_url"], name="GET stem", read=_whole(stem["size"])
            )


class Canceller:
    """Cancels the jobs that are due."""

    period_seconds = _IDLE_SECONDS

    def __init__(self, shared: Shared) -> None:
        self._jobs, self._caller = shared.jobs, Caller(shared)

    def step(self) -> None:
        """Cancel one job."""
        job_id = self._jobs.take_to_cancel()
        if job_id is not None:
            self._caller.call(
                "DELETE",
                f"/job/{job_id}",
                name="DELETE /job/{id}",
                read=lambda response: response.content,
            )


def _shows(jobs: Jobs, job_id: str) -> Callable[[Response], bool]:
    """Return whether a response to a job's id is right: 404 if it was cancelled."""
    return lambda response: (
        response.ok or (response.status_code == 404 and jobs.is_cancelled(job_id))
    )


def uploaders(profile: Profile) -> int:
    """Return how many clients send songs: enough if each song takes ten seconds."""
    return max(1, round(10 * profile.uploads.per_second))


def all_clients(profile: Profile) -> Iterator[tuple[type[Any], int]]:
    """Yield each kind of client, and how many of it a profile has."""
    yield Uploader, uploaders(profile)
    yield Poller, profile.polls.clients
    yield Listener, profile.events.clients
    yield Downloader, profile.downloads.clients
    yield Canceller, 1 if profile.cancels.share else 0


def _job(response: Response) -> Any:
    """Return a job, None for one that is gone; WrongResponse for one that failed."""
    if not response.ok:
        return None
    job = response.json()
    if job["status"] == "failed":
        raise WrongResponse(f"a job failed: {job.get('error')}")
    return job


def _whole(size_bytes: int) -> Callable[[Response], None]:
    """Return what reads a file, and raises WrongResponse if it has another size."""

    def read(response: Response) -> None:
        got = sum(len(piece) for piece in response.iter_content(_PIECE_BYTES))
        if got != size_bytes:
            raise WrongResponse(f"a stem has {got} of {size_bytes} bytes")

    return read
