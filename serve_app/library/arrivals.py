"""Messages that become jobs, each once."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from serve_app.idempotency import store as answers
from serve_app.idempotency.response import StoredResponse
from serve_app.jobs import statements
from serve_app.jobs.job import State
from serve_app.jobs.kind import AnyKind
from serve_app.library import messages
from serve_app.library.errors import NotATask
from serve_app.library.kinds import KEPT_SECONDS
from serve_app.library.task import LibraryJob, Stores, Task, new_job

_ACCEPTED = 202


@dataclass(frozen=True)
class Receipt:
    """What identifies a message, kept as long as it may come again.

    `message_id` is a digest of the queue's id, and `task_id` one of the sender's id and
    the task: senders repeat requests whose answer was lost. A task that failed may be
    sent once more, as from a dead-letter queue. Either may be None.
    """

    job_id: str
    kind: AnyKind
    message_id: str | None = None
    task_id: str | None = None

    def keep(self, connection: Connection, now: datetime) -> str | None:
        """Store the receipt, or return the job that the same message has already."""
        if found := self._found(connection, self.message_id, now):
            return found
        found = self._found(connection, self.task_id, now)
        if found and not self._has_failed(connection, found):
            return found
        until = now + timedelta(seconds=KEPT_SECONDS)
        body = {"job_id": self.job_id}
        for each in filter(None, (self.message_id, self.task_id)):
            answer = StoredResponse(each, each, _ACCEPTED, {}, body, until)
            answers.keep(connection, answer)
        return None

    def _found(
        self, connection: Connection, digest: str | None, now: datetime
    ) -> str | None:
        before = answers.find(connection, digest, now) if digest else None
        return None if before is None else str(before.body["job_id"])

    def _has_failed(self, connection: Connection, job_id: str) -> bool:
        job = statements.find(connection, self.kind, job_id)
        return job is not None and job.state is State.FAILED


@dataclass(frozen=True)
class Arrivals:
    """Adds jobs for messages. Methods block; raise QueueFull and Unavailable."""

    stores: Stores
    clock: Callable[[], datetime]

    def take(self, message: str, message_id: str) -> str:
        """Add the job of a message from a queue, and return the job's id.

        A message that is no task becomes a job that has failed, with the reason. One
        that was taken before, by its `message_id`, adds nothing.
        """
        try:
            return self.add(messages.parsed(message), message_id)
        except NotATask as err:
            return self._add(_rubbish(message, err, self.clock()), message_id)

    def add(
        self,
        task: Task,
        message_id: str | None = None,
        tenant: str = "",
        client: str = "",
    ) -> str:
        """Add the job of a task, and return its id; one added before adds nothing."""
        job = new_job(task, self.clock(), tenant, client)
        return self._add(job, message_id)

    def room(self) -> int:
        """Return how many messages can be taken, whatever their tasks are."""
        waiting = [State.QUEUED]
        return min(
            store.kind.rules.max_queued - store.counts(waiting)[State.QUEUED]
            for store in self.stores.values()
        )

    def _add(self, job: LibraryJob, message_id: str | None) -> str:
        task, store = job.request, self.stores[job.request.name]
        said = [job.tenant, task.name, task.task_id, task.kwargs]
        receipt = Receipt(
            job.id,
            store.kind,
            None if message_id is None else _digest(["message", message_id]),
            None if task.task_id is None else _digest(["task", *said]),
        )
        before = store.add(job, receipt)
        return job.id if before is None else before


def _rubbish(message: str, error: NotATask, now: datetime) -> LibraryJob:
    return new_job(Task("", {}, message), now).evolve(
        state=State.FAILED,
        error=error.detail,
        error_code=error.code,
        expires_at=now + timedelta(seconds=KEPT_SECONDS),
    )


def _digest(said: list[Any]) -> str:
    text = json.dumps(["library", *said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
