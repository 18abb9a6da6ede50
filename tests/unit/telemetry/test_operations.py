"""What operators look at is read within a limited time, and not too often."""

import time
from collections.abc import Mapping
from typing import NoReturn

import pytest

from serve_app.errors import DatabaseUnavailable
from serve_app.telemetry import operations
from serve_app.telemetry.operations import Operations, PoolFacts
from serve_app.telemetry.recent import RecentFacts
from serve_app.telemetry.scrape import Scraper, Sources
from serve_app.telemetry.store import DatabaseFacts, JobFacts, OutboxFacts, QueueFacts
from serve_app.telemetry.wire import view

pytestmark = pytest.mark.anyio

POOLS = {"Separator": PoolFacts(running=2, starting=1, target=4)}
SYSTEMS = {"separation": "stems", "analysis": "stems"}
FOUND = DatabaseFacts(
    JobFacts(
        {
            ("separation", "queued", ""): 3,
            ("separation", "running", ""): 2,
            ("separation", "failed", "unreadable_audio"): 4,
            ("echo", "running", ""): 1,
        }
    ),
    {"separation": QueueFacts(12.5, 540.0)},
    outbox={"webhook": OutboxFacts(2, 1, 3.0)},
)


def away() -> NoReturn:
    raise DatabaseUnavailable("away")


def reader(read_database: object = lambda: FOUND, **changes: object) -> Operations:
    scraper = Scraper(Sources(read_database, lambda: None), wait_seconds=0.1)  # type: ignore[arg-type]
    calls = {"read_recent": RecentFacts, "read_pools": lambda: POOLS, **changes}
    return Operations(scraper, wait_seconds=0.1, **calls)  # type: ignore[arg-type]


async def shown(found: Operations) -> Mapping[str, object]:
    return view(await found.facts(), SYSTEMS).model_dump()


async def test_the_figures_are_those_of_the_metrics() -> None:
    found = await shown(reader())
    assert (found["database_up"], found["storage_up"]) == (True, True)
    assert found["queues"] == [
        {
            **{"system": "stems", "kind": "separation", "queued": 3, "running": 2},
            **{"oldest_seconds": 12.5, "audio_seconds": 540.0},
        },
        {
            **{"system": "stems", "kind": "analysis", "queued": 0, "running": 0},
            **{"oldest_seconds": 0.0, "audio_seconds": 0.0},
        },
        {
            **{"system": "", "kind": "echo", "queued": 0, "running": 1},
            **{"oldest_seconds": 0.0, "audio_seconds": 0.0},
        },
    ]
    assert found["pools"] == [
        {"name": "Separator", "running": 2, "starting": 1, "target": 4}
    ]
    assert found["batch_fill_ratio"] is None
    assert found["outbox"] == [
        {"channel": "webhook", "waiting": 2, "dead": 1, "oldest_seconds": 3.0}
    ]


async def test_speed_is_audio_by_the_time_it_took() -> None:
    recent = RecentFacts({"separation": 1_500.0})
    found = await shown(reader(read_recent=lambda: recent))
    assert found["speed"] == [
        {
            **{"system": "stems", "kind": "separation", "audio_seconds": 1_500.0},
            **{"window_seconds": 300.0, "times_real_time": 5.0},
        }
    ]


async def test_the_fill_of_batches_is_shown() -> None:
    async def fill() -> float:
        return 0.75

    found = await shown(reader(read_batch_fill=fill))
    assert found["batch_fill_ratio"] == 0.75


async def test_what_can_t_be_read_is_null_and_the_rest_is_there() -> None:
    found = await shown(reader(away, read_recent=away))
    assert found["database_up"] is False
    names = ("queues", "speed", "failures", "outbox")
    assert [found[name] for name in names] == [None] * 4
    assert found["pools"] is not None

    found = await shown(reader(read_pools=lambda: time.sleep(0.5)))
    assert found["pools"] is None
    assert found["queues"] is not None


async def test_several_operators_cost_as_much_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def counted() -> RecentFacts:
        calls.append(1)
        return RecentFacts()

    found = reader(read_recent=counted)
    for _ in range(3):
        await found.facts()
    assert len(calls) == 1
    monkeypatch.setattr(operations, "FRESH_SECONDS", 0.0)
    await found.facts()
    assert len(calls) == 2
