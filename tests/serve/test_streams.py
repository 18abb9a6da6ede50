"""Streams survive that their replica is replaced: nothing is lost, nothing is late."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from serve_app.audio.wave import PCM16
from serve_app.database import Database
from serve_app.storage.local import LocalStorage
from tests.serve.service import Service, replica_processes, wait_for
from tools.cluster.listening import Audience
from tools.cluster.paced_job import SAMPLES, PacedJob

pytestmark = pytest.mark.timeout(300)

# `make verify` has 100 and 20.
LISTENERS = int(os.environ.get("STREAMS_LISTENERS", "40"))
PLAYERS = max(2, LISTENERS // 5)
APPLICATION = "stemserve"
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


def test_streams_and_requests_survive_updates_and_scaling(
    operator: Operator, cluster: int, tmp_path: Path
) -> None:
    """A config change, and 1, 3 and again 1 replicas, under streams and requests."""
    half, polls = (LISTENERS // 2, PLAYERS // 2), Polls()
    server = f"http://127.0.0.1:{cluster}"
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
        database = stack.enter_context(Database(url))
        job = PacedJob(database, LocalStorage(tmp_path / "files"), tmp_path)
        audience = Audience(server, job.id, LISTENERS + PLAYERS)
        stack.enter_context(audience.listening())
        stack.enter_context(job.running())
        stack.enter_context(polls.every(0.05, f"{server}/job/{job.id}"))
        audience.open(*half)
        operator.update()
        wait_for(lambda: audience.resumed >= sum(half))
        updated = audience.resumed
        operator.scale(3)
        # On all three, two of which end.
        audience.open(*half)
        wait_for(lambda: polls.count > 200)
        operator.scale(1)
    whole = job.heard()
    assert len(whole) == PCM16.size_bytes(SAMPLES)
    streams = audience.result(whole)
    assert polls.failures == []
    assert streams.cuts == ()
    assert updated < len(streams.resumed_seconds)
    print(
        f"resumed={len(streams.resumed_seconds)} "
        f"slowest={streams.slowest_seconds:.2f}s requests={polls.count}"
    )
    assert streams.slowest_seconds < RESUMED_SECONDS
