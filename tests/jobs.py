"""Jobs to test with, and a clock that moves when it is told to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from serve_app.audio.facts import AudioFacts
from serve_app.database import Database
from serve_app.idempotency.response import StoredResponse
from serve_app.jobs.job import Job, State
from serve_app.jobs.kind import Rules
from serve_app.jobs.store import JobStore
from serve_app.jobs.table import queue
from serve_app.stems.kind import separation
from serve_app.stems.request import (
    Options,
    Result,
    SeparationJob,
    SeparationRequest,
    Source,
    StemFile,
)
from serve_app.webhooks.message import Message
from serve_app.webhooks.target import Webhook

SongStore = JobStore[SeparationRequest, Result]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

RESULT = Result(
    "demo",
    (StemFile("drums", "stems/a/1/drums.wav", "Söng.wav", 44, "ab", "audio/wav"),),
    gain=0.5,
    analysis={"bpm": 120.0, "key": "C# minor", "beats": [0.5, 1.0]},
)


def new_job(
    job_id: str = "a", webhook: Webhook | None = None, **changes: Any
) -> SeparationJob:
    """Return a queued job that was made at noon, with `changes` applied."""
    source = Source(
        filename="Söng 'one'.mp3",
        key=f"originals/{job_id}",
        size_bytes=4_000_000,
        sha256="00ff",
        sample_rate=44_100,
        channels=2,
        samples=44_100 * 180,
        mean=0.001,
        deviation=0.2,
    )
    options = Options("demo", ("drums", "vocals"), "wav")
    job: SeparationJob = Job(
        job_id,
        SeparationRequest(source, options, webhook),
        State.QUEUED,
        created_at=NOON,
        updated_at=NOON,
        cost_seconds=source.duration_seconds,
    )
    return job.evolve(**changes)


def asking(job: SeparationJob, **changes: Any) -> SeparationJob:
    """Return `job` with `changes` applied to its request."""
    return job.evolve(request=replace(job.request, **changes))


def new_store(
    database: Database,
    clock: Callable[[], datetime],
    post: Callable[[Connection, Sequence[Message]], None] = lambda *_: None,
    **rules: Any,
) -> SongStore:
    """Return the store of songs with some rules, the rest of them as they are."""
    return JobStore(database, clock, separation(Rules(**rules)), post)


def answer(request_id: str = "r", **changes: Any) -> StoredResponse:
    """Return the answer to a request that made a job, with `changes` applied."""
    given = {
        "id": request_id,
        "fingerprint": "said",
        "status": 202,
        "headers": {"Location": "/job/a"},
        "body": {"job_id": "a", "size": 1, "text": "caf\u00e9"},
        "expires_at": NOON + timedelta(hours=24),
    }
    return StoredResponse(**{**given, **changes})


def with_audio(job: SeparationJob, facts: AudioFacts) -> SeparationJob:
    """Return `job` with a song of these facts."""
    source = replace(
        job.request.source,
        samples=facts.samples,
        sample_rate=facts.sample_rate,
        mean=facts.mean,
        deviation=facts.deviation,
        side_mean=facts.side_mean,
    )
    return asking(job, source=source).evolve(cost_seconds=source.duration_seconds)


def stored(database: Database) -> list[SeparationJob]:
    """Return all jobs that there are, of whomever, expired or not."""
    with database.reading() as connection:
        job_ids = connection.execute(select(queue.c.id)).scalars().all()
    return [*new_store(database, ManualClock()).find(job_ids).values()]


class ManualClock:
    """The time, which starts at noon and passes by `advance`."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += timedelta(seconds=seconds)
