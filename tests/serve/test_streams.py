"""Streams survive that their replica is replaced: nothing is lost, nothing is late."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread, local
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.args import AppArgs
from serve_app.audio import wave
from serve_app.client import Client
from serve_app.database import Database
from serve_app.jobs.job import Claim, State
from serve_app.jobs.store import JobStore
from serve_app.separation.windows import WindowSpec, plan
from serve_app.stems.kind import separation
from serve_app.stems.live_playback import Follower
from serve_app.stems.request import Result, Stage, StemFile
from serve_app.stems.stored_windows import Layout, SongWindows
from serve_app.storage.local import LocalStorage
from tests.jobs import asking, new_job
from tests.serve.application import deploy, running
from tests.serve.service import Service, wait_for

pytestmark = pytest.mark.timeout(300)

LISTENERS, PLAYERS = 100, 20
JOB, OWNER, STEM = "5" * 32, "the test", "drums"
SPEC = WindowSpec(20_480, 4_096)
LAYOUT = Layout("engine", ("drums", "bass", "other", "vocals"), 44_100, SPEC)
WINDOWS = 150
SAMPLES = SPEC.window_samples + (WINDOWS - 1) * SPEC.hop_samples
STEP_SECONDS = 0.5
RESUMED_SECONDS = 2.0


def arguments(data_dir: Path, apis: int, **settings: Any) -> AppArgs:
    return AppArgs.model_validate(
        {
            "settings": {
                "data_dir": data_dir,
                "model": "demo",
                "threads": 1,
                # Its clients come back for this reason too.
                "stream_seconds": 8.0,
                **settings,
            },
            "api": {"num_replicas": apis},
        }
    )


class RunningJob:
    """A job whose windows and progress this test stores itself, step by step."""

    def __init__(self, directory: Path, database: Database) -> None:
        self._store = JobStore(
            database, lambda: datetime.now(UTC), separation(), lambda *_: None
        )
        self._storage = LocalStorage(directory / "files")
        self._directory = directory
        self._is_enough = Event()
        until = datetime.now(UTC) + timedelta(hours=1)
        job = new_job(
            JOB, state=State.RUNNING, owner=OWNER, attempt=1, lease_expires_at=until
        )
        source = replace(job.request.source, samples=SAMPLES)
        self.job = asking(job, source=source)
        self._store.add(self.job)
        self._thread = Thread(target=self._run)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self.finish()

    def finish(self) -> None:
        """Store the rest of the windows, and complete the job."""
        self._is_enough.set()
        self._thread.join()

    def heard(self) -> bytes:
        """Return the bytes of a playback that was never interrupted."""
        follower = Follower(lambda: self.job, self._storage, self._directory, STEM)
        chunks, heard = follower.chunks(), []
        while follower.is_ready():
            heard.append(next(chunks))
        return b"".join(heard)

    def _run(self) -> None:
        assert len(plan(SAMPLES, SPEC)) == WINDOWS
        noise = np.random.default_rng(1)
        shape = (len(LAYOUT.sources), 2, SPEC.window_samples)
        windows = SongWindows(self._storage, self._directory, JOB, 1, LAYOUT)
        with windows:
            for index in range(WINDOWS):
                window = noise.uniform(-0.5, 0.5, shape).astype(np.float32)
                windows.keep(index, window)
                windows._waiting[-1].result(10)
                self._report((index + 1) / WINDOWS)
                self._is_enough.wait(STEP_SECONDS)
        # The windows stay, as a playback that is late needs them.
        self._succeed()

    def _report(self, progress: float) -> None:
        claim = Claim(JOB, OWNER, 1)
        assert not self._store.report(claim, Stage.SEPARATE, progress)

    def _succeed(self) -> None:
        path = self._directory / "stem.wav"
        path.write_bytes(b"not read")
        digest = sha256(b"not read").hexdigest()
        key = f"stems/{JOB}/1/{STEM}.wav"
        self._storage.put(key, path)
        stem = StemFile(STEM, key, "drums.wav", 8, digest, "audio/wav")
        self._store.succeed(Claim(JOB, OWNER, 1), Result("demo", (stem,), 1.0, {}))


@dataclass
class Resumptions:
    """How long it took after each end of a stream until it went on."""

    seconds: list[float] = field(default_factory=list)
    _lost: local = field(default_factory=local)

    def client(self, url: str) -> Client:
        client = Client(url, pause=self._pause)
        client._http.event_hooks["response"].append(self._note)
        return client

    def _pause(self, seconds: float) -> None:
        if not hasattr(self._lost, "at"):
            self._lost.at = time.monotonic()
        time.sleep(seconds)

    def _note(self, response: httpx.Response) -> None:
        if response.is_success and hasattr(self._lost, "at"):
            self.seconds.append(time.monotonic() - self._lost.at)
            del self._lost.at


@dataclass
class Polls:
    """Plain requests without any retry, and what went wrong."""

    count: int = 0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def every(self, seconds: float, url: str) -> Iterator[None]:
        stop = Event()

        def poll() -> None:
            with httpx.Client(timeout=30) as http:
                while not stop.wait(seconds):
                    self.count += 1
                    try:
                        response = http.get(url)
                    except httpx.HTTPError as error:
                        self.failures.append(repr(error))
                    else:
                        if response.status_code != 200:
                            self.failures.append(response.text)

        thread = Thread(target=poll)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def service(cluster: int, tmp_path: Path) -> Iterator[Service]:
    with running(cluster, arguments(tmp_path, apis=1), tmp_path) as service:
        yield service


def listen(client: Client) -> list[float]:
    *states, last = client.events(JOB, timeout_seconds=120)
    assert last.status == "completed"
    return [state.progress for state in states]


def play(client: Client) -> bytes:
    return b"".join(client.follow(JOB, STEM, timeout_seconds=120))


def test_streams_and_requests_survive_updates_and_scaling(
    service: Service, tmp_path: Path
) -> None:
    """A config change, and 1, 3 and again 1 replicas, under streams and requests."""
    resumed, polls = Resumptions(), Polls()
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    with ExitStack() as stack:
        database = stack.enter_context(Database(url))
        running_job = RunningJob(tmp_path, database)
        client = stack.enter_context(resumed.client(service.url))
        threads = stack.enter_context(ThreadPoolExecutor(LISTENERS + PLAYERS))
        stack.enter_context(running_job.under_way())
        stack.enter_context(polls.every(0.05, f"{service.url}/job/{JOB}"))
        listeners = [threads.submit(listen, client) for _ in range(LISTENERS)]
        players = [threads.submit(play, client) for _ in range(PLAYERS)]
        wait_for(lambda: polls.count > 20)
        for apis in (1, 3, 1):
            deploy(arguments(tmp_path, apis=apis, retention_seconds=1801.0))
            print(apis, time.monotonic(), len(resumed.seconds), polls)
        running_job.finish()
        told, heard = results(listeners), results(players)
    print(len(resumed.seconds), sorted(resumed.seconds)[-9:], polls.count)
    assert polls.failures == []
    assert polls.count > 200
    assert set(heard) == {running_job.heard()}
    assert len(heard[0]) == wave.size_bytes(SAMPLES)
    for progress in told:
        assert all(before < after for before, after in pairwise(progress))
        assert progress[-1] == pytest.approx(1.0, abs=0.02)
    assert len(resumed.seconds) > LISTENERS + PLAYERS
    assert max(resumed.seconds) < RESUMED_SECONDS


def results(futures: list["Future[Any]"]) -> list[Any]:
    return [future.result(120) for future in futures]
