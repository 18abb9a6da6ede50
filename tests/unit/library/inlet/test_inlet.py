"""The inlet deletes a message after its job is committed, and goes on after errors."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from serve_app.errors import DatabaseUnavailable, QueueFull
from serve_app.library.errors import QueueUnavailable
from serve_app.library.inlet import inlet
from serve_app.library.inlet.inlet import Inlet
from serve_app.library.inlet.sqs import Received

pytestmark = pytest.mark.anyio


class Messages:
    """A queue that gives its batches, and then nothing."""

    def __init__(self, *batches: list[str]) -> None:
        self.batches = list(batches)
        self.deleted: list[str] = []
        self.given_back: list[str] = []
        self.asked: list[int] = []
        self.is_down = False

    def receive(self, wait_seconds: int, most: int) -> Sequence[Received]:
        if self.is_down:
            raise QueueUnavailable("The queue is away.")
        self.asked.append(most)
        batch = self.batches.pop(0) if self.batches else []
        return [Received(f"id-{text}", text, text) for text in batch]

    def delete(self, received: Sequence[Received]) -> None:
        self.deleted += [each.text for each in received]

    def give_back(self, received: Sequence[Received]) -> None:
        self.given_back += [each.text for each in received]


class Jobs:
    """Arrivals that note what they take, and fail where they are told to."""

    def __init__(self, **errors: Exception) -> None:
        self.taken: list[tuple[str, str]] = []
        self.errors = errors
        self.left = 7

    def room(self) -> int:
        return self.left

    def take(self, message: str, message_id: str) -> str:
        if message in self.errors:
            raise self.errors[message]
        self.taken.append((message, message_id))
        return "a-job"


async def run(queue: Messages, jobs: Jobs, woken: list[bool] | None = None) -> Inlet:
    """Let an inlet run for a moment."""
    wakes = [] if woken is None else woken
    tried = Inlet(queue, jobs, lambda: wakes.append(True))  # type: ignore[arg-type]
    running = asyncio.ensure_future(tried.run_forever())
    await asyncio.sleep(0.3)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return tried


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inlet, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(inlet, "_BACKOFF_SECONDS", 0.02)


async def test_what_was_taken_is_deleted_and_wakes() -> None:
    queue, jobs, woken = Messages(["a", "b"], ["c"]), Jobs(), list[bool]()
    await run(queue, jobs, woken)
    assert jobs.taken == [("a", "id-a"), ("b", "id-b"), ("c", "id-c")]
    assert queue.deleted == ["a", "b", "c"]
    assert woken == [True, True]


@pytest.mark.parametrize(
    ("error", "deleted"),
    [
        # The rest of the batch comes again; the next batch is taken.
        (DatabaseUnavailable("away"), ["a", "d"]),
        # Only this message comes again.
        (RuntimeError("a bug"), ["a", "c", "d"]),
    ],
)
async def test_what_was_not_taken_is_not_deleted(
    error: Exception, deleted: list[str]
) -> None:
    queue, jobs = Messages(["a", "b", "c"], ["d"]), Jobs(b=error)
    tried = await run(queue, jobs)
    assert queue.deleted == deleted
    assert tried.status() == {"inlet": {"trouble": None, "is_full": False}}


async def test_a_full_queue_receives_nothing() -> None:
    queue, jobs = Messages(["a"]), Jobs()
    jobs.left = 0
    tried = await run(queue, jobs)
    assert (queue.batches, tried.status()["inlet"]["is_full"]) == ([["a"]], True)


async def test_no_more_is_received_than_there_is_room_for() -> None:
    queue, jobs = Messages(), Jobs()
    await run(queue, jobs)
    assert set(queue.asked) == {7}


async def test_what_finds_no_room_any_more_is_given_back() -> None:
    queue, jobs = Messages(["a", "b", "c"]), Jobs(b=QueueFull("full", 15))
    await run(queue, jobs)
    assert (queue.deleted, queue.given_back) == (["a"], ["b", "c"])


async def test_trouble_is_told_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = Messages()
    queue.is_down = True
    tried = await run(queue, Jobs())
    assert tried.status()["inlet"]["trouble"] == "The queue is away."
    assert len([line for line in caplog.messages if "library queue" in line]) == 1
