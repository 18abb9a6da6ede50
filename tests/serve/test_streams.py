"""Streams survive that their replica is replaced: nothing is lost, nothing is late."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread, local

import httpx
import numpy as np
import pytest
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

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
from tests.serve.service import Service, replica_processes, wait_for

pytestmark = pytest.mark.timeout(300)

# `make verify` has 100 and 20.
LISTENERS = int(os.environ.get("STREAMS_LISTENERS", "40"))
PLAYERS = max(2, LISTENERS // 5)
APPLICATION = "stemserve"
JOB, OWNER, STEM = "5" * 32, "the test", "drums"
SPEC = WindowSpec(20_480, 4_096)
LAYOUT = Layout("engine", ("drums", "bass", "other", "vocals"), 44_100, SPEC)
WINDOWS = 120
SAMPLES = SPEC.window_samples + (WINDOWS - 1) * SPEC.hop_samples
STEP_SECONDS = 1.0
RESUMED_SECONDS = 2.0


@dataclass
class Operator:
    """Deploys a config, again and again, as `serve deploy` does."""

    data_dir: Path

    def deploy(self, apis: int, num_cpus: float) -> None:
        """Return when as many Apis run; other `num_cpus` replace each of them."""
        options = {"num_replicas": apis, "ray_actor_options": {"num_cpus": num_cpus}}
        application = {
            "name": APPLICATION,
            "route_prefix": "/",
            "import_path": "deployments.app:build",
            "args": {
                "settings": {
                    "data_dir": str(self.data_dir),
                    "model": "demo",
                    "threads": 1,
                }
            },
            "deployments": [{"name": "Api", **options}],
        }
        config = ServeDeploySchema.model_validate({"applications": [application]})
        _get_global_client().deploy_apps(config)

    def update(self) -> None:
        """Replace the only Api."""
        (old,) = apis()
        self.deploy(1, num_cpus=0.2)
        wait_for(lambda: apis() not in ({old}, set()) and are_running(1), 60)

    def scale(self, count: int) -> None:
        """Change the number of Apis in place."""
        running = apis()
        self.deploy(count, num_cpus=0.2)
        wait_for(lambda: are_running(count), 60)
        assert running & apis()


def are_running(count: int) -> bool:
    """Whether as many Apis run, and none starts or is being stopped."""
    states = serve.status().applications[APPLICATION].deployments["Api"].replica_states
    return states == {"RUNNING": count} and len(apis()) == count


def apis() -> set[int]:
    """Return the processes of the Apis that run or are being stopped."""
    return {process.pid for process in replica_processes("Api")}


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
        """Return the wav of a playback that was never interrupted."""
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
        self._succeed()

    def _report(self, progress: float) -> None:
        claim = Claim(JOB, OWNER, 1)
        assert not self._store.report(claim, Stage.SEPARATE, progress)

    def _succeed(self) -> None:
        path, heard = self._directory / "stem.wav", self.heard()
        path.write_bytes(heard)
        key, digest = f"stems/{JOB}/1/{STEM}.wav", sha256(heard).hexdigest()
        self._storage.put(key, path)
        stem = StemFile(STEM, key, "drums.wav", len(heard), digest, "audio/wav")
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
def operator(cluster: int, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(tmp_path)
    operator.deploy(1, num_cpus=0.1)
    try:
        wait_for(Service(f"http://127.0.0.1:{cluster}", tmp_path).is_ready, 120)
        yield operator
    finally:
        serve.delete(APPLICATION)


def listen(client: Client) -> list[float] | bytes:
    *states, last = client.events(JOB, timeout_seconds=120)
    assert last.status == "completed"
    return [state.progress for state in states]


def play(client: Client) -> list[float] | bytes:
    return b"".join(client.follow(JOB, STEM, timeout_seconds=120))


def test_streams_and_requests_survive_updates_and_scaling(
    operator: Operator, cluster: int, tmp_path: Path
) -> None:
    """A config change, and 1, 3 and again 1 replicas, under streams and requests."""
    half = [listen] * (LISTENERS // 2) + [play] * (PLAYERS // 2)
    resumed, polls = Resumptions(), Polls()
    server = f"http://127.0.0.1:{cluster}"
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    with ExitStack() as stack:
        database = stack.enter_context(Database(url))
        running_job = RunningJob(tmp_path, database)
        client = stack.enter_context(resumed.client(server))
        threads = stack.enter_context(ThreadPoolExecutor(LISTENERS + PLAYERS))
        stack.enter_context(running_job.under_way())
        stack.enter_context(polls.every(0.05, f"{server}/job/{JOB}"))
        streams = [threads.submit(each, client) for each in half]
        wait_for(lambda: polls.count > 20)
        operator.update()
        wait_for(lambda: len(resumed.seconds) >= len(half))
        updated = len(resumed.seconds)
        operator.scale(3)
        # On all three, two of which end.
        streams += [threads.submit(each, client) for each in half]
        wait_for(lambda: polls.count > 200)
        operator.scale(1)
        running_job.finish()
        found = [stream.result(120) for stream in streams]
    assert polls.failures == []
    assert updated < len(resumed.seconds)
    print(
        f"resumed={len(resumed.seconds)} slowest={max(resumed.seconds):.2f}s "
        f"requests={polls.count}"
    )
    assert max(resumed.seconds) < RESUMED_SECONDS
    heard = {each for each in found if isinstance(each, bytes)}
    assert heard == {running_job.heard()}
    assert {len(each) for each in heard} == {wave.size_bytes(SAMPLES)}
    # In their order, without repetitions.
    for told in (each for each in found if isinstance(each, list)):
        assert all(before < after for before, after in pairwise(told))
