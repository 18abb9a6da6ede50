"""The response of `GET /operations`."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from serve_app.api.wire import UtcTime, Wire
from serve_app.jobs.job import State
from serve_app.telemetry.operations import OperationsFacts
from serve_app.telemetry.recent import SPEED_SECONDS
from serve_app.telemetry.store import DatabaseFacts, QueueFacts


class QueueView(Wire):
    """The jobs of a kind that have not ended."""

    system: str
    kind: str
    queued: int
    running: int
    oldest_seconds: float = Field(
        description="For how long the oldest queued job has been ready to run."
    )
    audio_seconds: float = Field(description="Audio of queued jobs.")


class SpeedView(Wire):
    """The audio of jobs of a kind that succeeded in the last minutes."""

    system: str
    kind: str
    audio_seconds: float = Field(description="Not counting cached results.")
    window_seconds: float
    times_real_time: float = Field(
        description="The audio computed per second: `audio_seconds / window_seconds`."
    )


class PoolView(Wire):
    """The replicas of a pool."""

    name: str
    running: int
    starting: int
    target: int = Field(description="How many replicas are wanted.")


class FailureView(Wire):
    """A job that failed."""

    at: UtcTime
    system: str
    kind: str
    reason: str = Field(description="The error code.")
    detail: str


class OutboxView(Wire):
    """The messages of a channel, such as webhooks."""

    channel: str
    waiting: int
    dead: int = Field(description="Messages that are not retried any more.")
    oldest_seconds: float


class DiskView(Wire):
    """The disk of a directory of the machine that responds."""

    place: str
    free_bytes: int
    size_bytes: int


class OperationsView(Wire):
    """What runs, how fast, and what failed. Lists are null if they can't be read."""

    database_up: bool
    storage_up: bool
    queues: list[QueueView] | None = None
    pools: list[PoolView] | None = None
    speed: list[SpeedView] | None = None
    batch_fill_ratio: float | None = Field(
        default=None,
        description="Windows in a batch as a share of the most that fit: the mean of "
        "the batches of the last 5 minutes; null if there were none.",
    )
    failures: list[FailureView] | None = Field(
        default=None, description="The last 20, newest first."
    )
    outbox: list[OutboxView] | None = None
    disks: list[DiskView]


def view(facts: OperationsFacts, systems: Mapping[str, str]) -> OperationsView:
    """Return the response with `facts`; `systems` are those of the kinds of jobs."""
    database, recent = facts.scraped.database, facts.recent
    found: dict[str, object] = {}
    if database is not None:
        found["queues"] = list(_queues(database, systems))
        found["outbox"] = [
            OutboxView(
                channel=channel,
                waiting=each.waiting,
                dead=each.dead,
                oldest_seconds=each.oldest_seconds,
            )
            for channel, each in database.outbox.items()
        ]
    if recent is not None:
        found["speed"] = [
            SpeedView(
                system=systems.get(kind, ""),
                kind=kind,
                audio_seconds=seconds,
                window_seconds=SPEED_SECONDS,
                times_real_time=seconds / SPEED_SECONDS,
            )
            for kind, seconds in recent.audio_seconds.items()
        ]
        found["failures"] = [
            FailureView(
                at=each.at,
                system=systems.get(each.kind, ""),
                kind=each.kind,
                reason=each.reason,
                detail=each.detail,
            )
            for each in recent.failures
        ]
    if facts.pools is not None:
        found["pools"] = [
            PoolView(
                name=name,
                running=each.running,
                starting=each.starting,
                target=each.target,
            )
            for name, each in facts.pools.items()
        ]
    return OperationsView(
        database_up=database is not None,
        storage_up=facts.scraped.is_storage_up,
        batch_fill_ratio=facts.batch_fill_ratio,
        disks=[
            DiskView(
                place=place, free_bytes=each.free_bytes, size_bytes=each.size_bytes
            )
            for place, each in facts.scraped.disks.items()
        ],
        **found,  # type: ignore[arg-type]
    )


def _queues(database: DatabaseFacts, systems: Mapping[str, str]) -> Iterator[QueueView]:
    """Yield the queues of this application's kinds, and of others that have jobs."""
    jobs: dict[tuple[str, str], int] = {}
    for (kind, state, _), number in database.jobs.jobs.items():
        jobs[kind, state] = jobs.get((kind, state), 0) + number
    for kind in dict.fromkeys([*systems, *(kind for kind, _ in jobs)]):
        facts = database.queues.get(kind, QueueFacts())
        yield QueueView(
            system=systems.get(kind, ""),
            kind=kind,
            queued=jobs.get((kind, State.QUEUED), 0),
            running=jobs.get((kind, State.RUNNING), 0),
            oldest_seconds=facts.oldest_seconds,
            audio_seconds=facts.audio_seconds,
        )
