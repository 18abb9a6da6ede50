"""Tasks over HTTP, and what the library says of its health."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from serve_app.api.services import Services
from serve_app.database import Database
from serve_app.errors import Unavailable
from serve_app.idempotency.store import StoredResponses
from serve_app.jobs.store import JobStore
from serve_app.library.arrivals import Arrivals
from serve_app.library.http.part import part
from serve_app.library.http.services import LibraryServices
from serve_app.library.kinds import kinds
from serve_app.library.task import Done, TaskName
from tests.library import HASH, RUBBISH, message
from tests.unit.server import Clock, assert_problem, connect

pytestmark = pytest.mark.anyio

TASK = message(TaskName.HASH, HASH)


class Dispatchers:
    """Stand in for the dispatchers: note who was woken, and answer as they are told."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.answer: Mapping[str, Any] | Exception = {"inlet": {"trouble": None}}
        self.failing = 0
        self.has_bucket = True

    def probe(self) -> None:
        if not self.has_bucket:
            raise Unavailable("There is no bucket.")

    async def status(self) -> Mapping[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def dispatchers() -> Dispatchers:
    return Dispatchers()


@pytest.fixture
def services(tmp_path: Path, dispatchers: Dispatchers) -> Iterator[LibraryServices]:
    clock = Clock()
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        stores = {
            name: JobStore(database, clock, kind)
            for name, kind in kinds("", False, 3).items()
        }
        arrivals = Arrivals(stores, clock)
        wake, status = dispatchers.woken.append, dispatchers.status
        yield LibraryServices(
            arrivals,
            stores,
            wake,
            status,
            failing=lambda: dispatchers.failing,
            probe=dispatchers.probe,
        )


@pytest.fixture
async def client(
    services: LibraryServices, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    clock = services.arrivals.clock
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as database:
        shared = Services(StoredResponses(database, clock), clock)
        async with connect(create_app(shared, [part(services)])) as client:
            yield client


async def test_a_task_is_accepted_once_and_found(
    client: httpx.AsyncClient, services: LibraryServices, dispatchers: Dispatchers
) -> None:
    first = await client.post("/library/tasks", content=TASK)
    again = await client.post("/library/tasks", content=TASK)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert first.json()["task"] == TaskName.HASH
    assert dispatchers.woken == ["library-hash"] * 2
    path = first.headers["location"]
    assert path == first.json()["status_path"]
    found = (await client.get(path)).json()
    assert (found["state"], found["task"]) == ("queued", TaskName.HASH)
    store = services.stores[TaskName.HASH]
    (job,) = store.claim("me", lease_seconds=30, include_alone=True)
    store.succeed(job.claim, Done({"audio_hash": "ab"}))
    found = (await client.get(path)).json()
    assert (found["state"], found["result"]) == ("succeeded", {"audio_hash": "ab"})


async def test_a_failed_task_has_its_reason(
    client: httpx.AsyncClient, services: LibraryServices
) -> None:
    path = (await client.post("/library/tasks", content=TASK)).headers["location"]
    store = services.stores[TaskName.HASH]
    (job,) = store.claim("me", lease_seconds=30, include_alone=True)
    store.fail(job.claim, "object_missing", "There is no file.")
    found = (await client.get(path)).json()
    assert (found["state"], found["error_code"]) == ("failed", "object_missing")
    assert found["error"] == "There is no file."


@pytest.mark.parametrize("name", RUBBISH)
async def test_rubbish_is_refused_and_adds_nothing(
    client: httpx.AsyncClient, services: LibraryServices, name: str
) -> None:
    answer = await client.post("/library/tasks", content=RUBBISH[name])
    assert_problem(answer, 422, "not_a_task")
    assert not any(sum(store.counts().values()) for store in services.stores.values())


async def test_an_unknown_task_is_not_found(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/library/tasks/none"), 404, "job_not_found")


async def test_a_full_queue_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    for number in range(3):
        text = message(TaskName.HASH, HASH, f"hash-{number}")
        assert (await client.post("/library/tasks", content=text)).status_code == 202
    text = message(TaskName.HASH, HASH, "one more")
    answer = await client.post("/library/tasks", content=text)
    assert_problem(answer, 429, "queue_full")
    assert int(answer.headers["retry-after"]) > 0


async def test_health_counts_tasks(client: httpx.AsyncClient) -> None:
    await client.post("/library/tasks", content=TASK)
    answer = await client.get("/library/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "tasks": {"queued": 1, "running": 0, "failed": 0},
        "webhooks": {"failing": 0},
    }


async def test_health_tells_of_a_receiver_that_fails_and_of_a_missing_bucket(
    client: httpx.AsyncClient, dispatchers: Dispatchers
) -> None:
    dispatchers.failing, dispatchers.has_bucket = 3, False
    answer = await client.get("/library/health")
    assert answer.status_code == 503
    assert answer.json()["webhooks"] == {"failing": 3}
    assert "There is no bucket." in answer.json()["reason"]


async def test_a_repeated_request_with_a_key_gets_the_same_response(
    client: httpx.AsyncClient,
) -> None:
    def send(text: str) -> Any:
        headers = {"Idempotency-Key": "k1"}
        return client.post("/library/tasks", content=text, headers=headers)

    first, again = (
        await send('{"task": "health_check"}'),
        await send('{"task": "health_check"}'),
    )
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (await send('{"task": "cleanup_temp_files"}')).status_code == 422


async def test_a_message_as_large_as_sqs_takes_is_read(
    client: httpx.AsyncClient,
) -> None:
    text = message(TaskName.HASH, {**HASH, "unknown": "x" * 250_000})
    assert (await client.post("/library/tasks", content=text)).status_code == 202
    larger = message(TaskName.HASH, {**HASH, "unknown": "x" * 300_000})
    answer = await client.post("/library/tasks", content=larger)
    assert_problem(answer, 413, "upload_too_large")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"inlet": {"trouble": "The queue is away."}}, "The queue is away."),
        (Unavailable("The dispatcher is away."), "The dispatcher is away."),
    ],
)
async def test_trouble_is_503_with_its_reason(
    client: httpx.AsyncClient, dispatchers: Dispatchers, answer: Any, reason: str
) -> None:
    dispatchers.answer = answer
    found = await client.get("/library/health")
    assert found.status_code == 503
    assert reason in found.json()["reason"]
