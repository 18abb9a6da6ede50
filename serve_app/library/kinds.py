"""The kinds of the library's jobs: one for each task, and one for rubbish."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from serve_app.jobs.job import State
from serve_app.jobs.kind import Kind, Rules
from serve_app.library import bodies, dead_letters
from serve_app.library.bodies import Body, Route
from serve_app.library.task import Done, LibraryJob, Stage, Task, TaskName
from serve_app.settings import Settings
from serve_app.webhooks.message import Message

# As long as SQS may keep a message and deliver it again.
KEPT_SECONDS = 14 * 24 * 3600.0
# Tried again after these, and then told.
RETRY_SECONDS = (60.0, 120.0, 240.0)

Told = tuple[Route, Body]


def _nothing(job: LibraryJob, now: datetime) -> Told | None:
    return None


@dataclass(frozen=True)
class LibraryKind(Kind[Task, Done]):
    """Jobs of one task; `receiver` is the base URL of webhooks, "" for none.

    `told` returns the message about the end of a job, or None. With
    `has_dead_letters`, a job that failed is also sent to that queue.
    """

    told: Callable[[LibraryJob, datetime], Told | None] = _nothing
    receiver: str = ""
    has_dead_letters: bool = False

    def messages(self, job: LibraryJob, now: datetime) -> Sequence[Message]:
        """Return the webhook about the end of a job, and its dead letter."""
        posted = []
        told = self.told(job, now) if self.receiver else None
        if told is not None:
            posted.append(self._webhook(job, *told))
        if job.state is State.FAILED and self.has_dead_letters:
            posted.append(dead_letters.message(job))
        return posted

    def title(self, job: LibraryJob) -> str:
        """Return the id of the stem or stage."""
        return job.request.subject

    def log_fields(self, job: LibraryJob) -> Mapping[str, Any]:
        """Return how many stems of a mix had another rate."""
        resampled = job.result and job.result.fields.get("resampled_stems")
        return {"resampled_stems": resampled} if resampled else {}

    def _webhook(self, job: LibraryJob, route: Route, body: Body) -> Message:
        return Message(
            channel=dead_letters.WEBHOOKS,
            target=f"{self.receiver.rstrip('/')}/{route}",
            event=route,
            body=bodies.encoded(body),
            job_id=job.id,
            order_key=job.request.order_key,
        )


def _failed(job: LibraryJob, now: datetime) -> Told:
    return Route.COMPLETION, bodies.failure(job, now)


def _hash(job: LibraryJob, now: datetime) -> Told | None:
    if job.state is State.FAILED:
        return _failed(job, now)
    if job.result is None:
        return None
    if job.result.duplicate_of is not None:
        return Route.COMPLETION, bodies.completion(job.request, job.result, now)
    return Route.HASH_CHECK, bodies.hash_check(job.request, job.result)


def _duplicate(job: LibraryJob, now: datetime) -> Told | None:
    if job.state is State.FAILED:
        return _failed(job, now)
    return Route.COMPLETION, bodies.deletion(job.request)


def _analysis(job: LibraryJob, now: datetime) -> Told | None:
    if job.state is State.FAILED:
        return _failed(job, now)
    if job.result is None:
        return None
    return Route.COMPLETION, bodies.completion(job.request, job.result, now)


def _mix(job: LibraryJob, now: datetime) -> Told | None:
    return Route.MIXING_COMPLETE, bodies.mixing(job.request, job.result)


NAMES: Mapping[TaskName, str] = MappingProxyType(
    {
        TaskName.HASH: "library-hash",
        TaskName.DUPLICATE: "library-duplicate",
        TaskName.ANALYSIS: "library-analysis",
        TaskName.MIX: "library-mix",
        TaskName.CLEANUP: "library-cleanup",
        TaskName.HEALTH: "library-health",
    }
)
RUBBISH = "library-rubbish"
_TOLD: Mapping[TaskName, Callable[[LibraryJob, datetime], Told | None]] = {
    TaskName.HASH: _hash,
    TaskName.DUPLICATE: _duplicate,
    TaskName.ANALYSIS: _analysis,
    TaskName.MIX: _mix,
}


def configured(settings: Settings) -> Mapping[str, LibraryKind]:
    """Return the kinds with the receiver, the queue and the limits of an operator."""
    return kinds(
        settings.library_webhook_url,
        bool(settings.library_dead_letter_url),
        settings.library_max_queued,
    )


def kinds(
    receiver: str, has_dead_letters: bool, max_queued: int
) -> Mapping[str, LibraryKind]:
    """Return the kinds by the names of their tasks; that of rubbish is ""."""

    def kind(task: TaskName | None) -> LibraryKind:
        return LibraryKind(
            RUBBISH if task is None else NAMES[task],
            Task,
            Done,
            stages=tuple(Stage),
            rules=Rules(
                max_queued=max_queued,
                max_attempts=1 + len(RETRY_SECONDS),
                retry_seconds=RETRY_SECONDS,
                retention_seconds=KEPT_SECONDS,
            ),
            done_event="library task done",
            told=_nothing if task is None else _TOLD.get(task, _nothing),
            receiver=receiver,
            has_dead_letters=has_dead_letters,
        )

    return {"": kind(None), **{task.value: kind(task) for task in TaskName}}
