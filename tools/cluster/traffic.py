"""Clients that load the service during a scenario, and what became of their jobs."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import media
from tools.chaos.receiver import Receiver
from tools.cluster.nodes import wait_until
from tools.cluster.outcome import JobEnd
from tools.load import songs
from tools.load.clients import FINAL, Caller, Client, Shared, all_clients
from tools.load.jobs import Jobs
from tools.load.measures import Call, Recorder
from tools.load.plain import repeat
from tools.load.profile import Downloads, Events, Polls, Profile, Uploads

# As much as two cores can take beside all the nodes.
PROFILE = Profile(
    ramp_seconds=0,
    uploads=Uploads(per_second=0.3, song_seconds=10),
    polls=Polls(clients=10, period_seconds=1),
    events=Events(clients=5),
    downloads=Downloads(clients=2),
)
_DEMO_SONGS, _DEMO_SECONDS = 2, 60.0
_END_SECONDS = 90.0
_JOB_SECONDS = 300.0
_WEBHOOK_SECONDS = 120.0
_POLL_SECONDS = 1.0
_AT_ONCE = 4


class Ledger(Jobs):
    """The jobs that were accepted, all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[str] = []

    def add(self, job_id: str, cancelled_share: float = 0.0) -> None:
        """Note a job that was accepted."""
        super().add(job_id, cancelled_share)
        self.accepted.append(job_id)


class Timeline:
    """When requests failed, in seconds of `time.monotonic`."""

    def __init__(self) -> None:
        self.failed_at: list[float] = []

    def note(self, name: str, seconds: float, reason: str | None) -> None:
        """Note a request; it failed if there is a `reason`."""
        if reason is not None:
            self.failed_at.append(time.monotonic())


@dataclass(frozen=True)
class Traffic:
    """The clients of a scenario, and what they know."""

    shared: Shared
    ledger: Ledger
    timeline: Timeline
    receiver: Receiver

    @property
    def calls(self) -> Mapping[str, Call]:
        """All requests so far, by kind."""
        return self.shared.recorder.measures("trial").calls

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let all clients send requests until the context exits."""
        stop, threads = threading.Event(), []
        for kind, count in all_clients(self.shared.profile):
            for number in range(count):
                client: Client = kind(self.shared)
                begins_at = time.monotonic() + client.period_seconds * number / count
                arguments = (client, begins_at, stop)
                threads.append(threading.Thread(target=repeat, args=arguments))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(_END_SECONDS)

    def separate_with_demo(self, folder: Path) -> None:
        """Send a few songs to separate with a real network, which takes a while."""
        path = folder / "song.wav"
        media.write_song(path, seconds=_DEMO_SECONDS, sample_rate=22_050)
        caller = Caller(self.shared)
        for _ in range(_DEMO_SONGS):
            job_id = caller.separate(path.name, path.read_bytes(), model="demo")
            if job_id is not None:
                self.ledger.add(job_id)

    def settled(self) -> dict[str, JobEnd]:
        """Wait until all jobs have ended; return how, by their ids."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found = list(threads.map(self._ended, self.ledger.accepted))
        self._wait_for_webhooks()
        return {
            job_id: self._with_webhooks(job_id, end)
            for job_id, end in zip(self.ledger.accepted, found, strict=True)
        }

    def _ended(self, job_id: str) -> JobEnd:
        caller, end = Caller(self.shared), time.monotonic() + _JOB_SECONDS
        while time.monotonic() < end:
            job = caller.job(job_id)
            if job is None:
                return JobEnd("unknown")
            if job["status"] in FINAL:
                return JobEnd(job["status"], _stems(caller, job))
            time.sleep(_POLL_SECONDS)
        return JobEnd(job["status"])

    def _wait_for_webhooks(self) -> None:
        def have_all() -> bool:
            return all(self.receiver.taken[job_id] for job_id in self.ledger.accepted)

        try:
            wait_until(have_all, _WEBHOOK_SECONDS, "webhooks")
        except TimeoutError:
            # What is missing is in the outcome.
            return

    def _with_webhooks(self, job_id: str, end: JobEnd) -> JobEnd:
        taken = self.receiver.taken[job_id]
        return JobEnd(end.status, end.stems, len(taken), len(set(taken)))


def traffic(url: str, receiver: Receiver, profile: Profile = PROFILE) -> Traffic:
    """Return clients of the service at `url` that send nothing yet."""
    ledger, timeline = Ledger(), Timeline()
    shared = Shared(
        url,
        "",
        profile,
        songs.encoded(profile.uploads),
        ledger,
        Recorder(time.monotonic(), timeline.note),
        {"webhook_url": receiver.url},
    )
    return Traffic(shared, ledger, timeline, receiver)


def _stems(caller: Caller, job: Mapping[str, Any]) -> int:
    """Return how many stems of a job are there, with their sizes."""
    found = 0
    for stem in job["stems"].values():
        size = caller.call(
            "GET",
            stem["download_url"],
            name="GET stem, one byte",
            read=lambda response: response.headers["Content-Range"].rpartition("/")[2],
            headers={"Range": "bytes=0-0"},
        )
        found += size == str(stem["size"])
    return found
