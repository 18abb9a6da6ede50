"""What a running service tells Prometheus, and what its logs tell of a job."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from serve_app.database import Database
from serve_app.telemetry import catalogue
from serve_app.telemetry.metric import Metric, MetricType
from tests import media
from tests.jobs import new_job, new_store
from tests.serve.application import running_demo
from tests.serve.service import Service, wait_for

# Ray's processes report every 10 s.
REPORT_SECONDS = 40.0
# Of CUDA devices, of webhooks, and of what breaks.
NOT_HERE = {
    catalogue.DEVICE_MEMORY_BYTES,
    catalogue.WEBHOOK_DELIVERIES,
    catalogue.DATABASE_ERRORS,
    catalogue.STORAGE_ERRORS,
    catalogue.SPANS_DROPPED,
}
REQUEST_ID = "from-the-door"


@pytest.fixture(scope="module")
def service(
    cluster: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Run the whole application, with logs as JSON."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = {"max_attempts": 1, "log_format": "json"}
    with running_demo(cluster, data_dir, **settings) as service:
        yield service


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "A song.wav"
    media.write_song(path, seconds=3.0)
    return path


@pytest.fixture(scope="module")
def done(service: Service, song: Path) -> str:
    """Return the id of a job that succeeded, by a request with a known id."""
    with song.open("rb") as file:
        answer = httpx.post(
            f"{service.url}/separate",
            files={"file": (song.name, file)},
            headers={"X-Request-ID": REQUEST_ID},
            timeout=60,
        )
    job_id = str(answer.json()["job_id"])
    assert service.wait(job_id)["status"] == "completed"
    return job_id


@pytest.fixture(scope="module")
def failed(service: Service, done: str) -> str:
    """Return the id of a job without a song in the storage."""
    job_id, now = uuid4().hex, datetime.now(UTC)
    with Database(f"sqlite:///{service.data_dir / 'jobs.sqlite3'}") as database:
        store = new_store(database, lambda: datetime.now(UTC))
        store.add(new_job(job_id, created_at=now, updated_at=now))
    assert service.wait(job_id)["status"] == "failed"
    return job_id


def samples(text: str) -> list[Sample]:
    return [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def of_the_agent() -> list[Sample]:
    """Return the samples that Ray's agent exports, of the replicas that run now.

    It remembers those of the modules before, which share the cluster.
    """
    [node] = ray.nodes()
    url = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
    named = ray.util.list_named_actors(all_namespaces=True)
    running = {str(each["name"]).rpartition("#")[2] for each in named}
    found = samples(httpx.get(url, timeout=10).text)
    return [each for each in found if each.labels.get("replica") in running]


def exported(metric: Metric) -> str:
    """Return the name of one of the series that Ray makes of a metric."""
    suffixes = {MetricType.COUNTER: "_total", MetricType.HISTOGRAM: "_bucket"}
    return f"ray_{metric.name}{suffixes.get(metric.type, '')}"


def test_a_scrape_has_every_metric_and_a_failure_by_its_reason(
    service: Service, failed: str
) -> None:
    found = samples(httpx.get(f"{service.url}/metrics", timeout=10).text)
    # Those of tenants are there after the first job that used anything.
    assert {each.name for each in found} == {each.name for each in catalogue.SCRAPED}
    jobs = {
        (each.labels["state"], each.labels["reason"]): each.value
        for each in found
        if each.name == catalogue.JOBS.name and each.labels["kind"] == "separation"
    }
    assert jobs["succeeded", ""] == 1
    assert jobs["failed", "file_lost"] == 1
    assert failed not in str(found)


def attempts(found: Sequence[Sample]) -> dict[tuple[str, str], float]:
    """Return how many attempts ended, by their outcome and reason."""
    return {
        (each.labels["outcome"], each.labels["reason"]): each.value
        for each in found
        if each.name == exported(catalogue.ATTEMPTS)
    }


def test_rays_agent_has_what_was_counted(service: Service, failed: str) -> None:
    wanted = {exported(each) for each in catalogue.COUNTED if each not in NOT_HERE}
    expected = {("succeeded", ""): 1, ("failed", "file_lost"): 1}
    names: set[str] = set()

    def is_all_there() -> bool:
        found = of_the_agent()
        names.update(each.name for each in found)
        return wanted <= names and expected.items() <= attempts(found).items()

    wait_for(is_all_there, REPORT_SECONDS)


def test_one_search_follows_a_job_from_the_door_through_all_processes(
    service: Service, done: str
) -> None:
    """Nobody has to poll for it: its lines are in the log files."""
    logs = Path(ray._private.worker._global_node.get_logs_dir_path()) / "serve"
    texts = [path.read_text() for path in logs.glob("replica_*.log")]
    lines = [
        json.loads(line)
        for text in texts
        for line in text.splitlines()
        if done in line and line.startswith("{")
    ]
    by_event = {line["event"]: line for line in lines if line.get("job") == done}
    places = {
        "job accepted": "Api",
        "job started": "DispatcherReplica",
        "separation started": "Separator",
        "separation ended": "Separator",
        "analysis started": "Analyzer",
        "analysis ended": "Analyzer",
        "song separated": "DispatcherReplica",
    }
    found = {event: by_event[event]["deployment"] for event in places}
    assert found == places
    started = [event for event in places if event != "song separated"]
    assert {by_event[event]["request"] for event in started} == {REQUEST_ID}
