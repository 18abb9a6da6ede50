"""Tasks that failed, and messages that are no tasks."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from serve_app.errors import JobNotFound
from serve_app.jobs.job import State
from serve_app.library import messages
from serve_app.library.task import LibraryJob, Stores, new_job
from serve_app.webhooks.message import Message

# The channel of dead letters in the outbox.
CHANNEL = "library-dead-letters"
_EVENT = "dead-letter"
_LONGEST_REASON = 500
# What SQS allows in texts: the characters of XML 1.0.
_UNSENDABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class DeadLetters:
    """The jobs that failed, in the stores of all kinds; methods block."""

    stores: Stores
    clock: Callable[[], datetime]

    def listed(self, limit: int) -> list[LibraryJob]:
        """Return the latest, newest first."""
        found = [job for store in self.stores.values() for job in store.failed(limit)]
        return sorted(found, key=lambda job: job.updated_at, reverse=True)[:limit]

    def retry(self, job_id: str) -> LibraryJob:
        """Replace a job that failed by a new one for the same message.

        Raises JobNotFound if there is no such dead letter, and NotATask for a message
        that still is no task.
        """
        for store in self.stores.values():
            job = store.find([job_id]).get(job_id)
            if job is not None and job.state is State.FAILED:
                again = self._again(job)
                self.stores[again.request.name].add(again)
                store.remove(job_id)
                return again
        raise JobNotFound(
            "There is no such dead letter. `stemserve library dead-letters list` shows "
            "all."
        )

    def _again(self, job: LibraryJob) -> LibraryJob:
        task = job.request
        if not task.name:
            task = messages.parsed(task.message)
        return new_job(task, self.clock(), job.tenant, job.client)


def message(job: LibraryJob) -> Message:
    """Return the message that brings a job that failed to the dead-letter queue.

    Its body holds the original message, and the attributes that say why.
    """
    request = job.request
    attributes = {
        "reason": job.error or "The task failed.",
        "error_code": job.error_code or "internal_error",
        "task": request.name or "-",
        "job_id": job.id,
    }
    body = {
        "message": request.message,
        "attributes": {name: sendable(text) for name, text in attributes.items()},
    }
    return Message(CHANNEL, "", _EVENT, json.dumps(body), job.id)


def sendable(text: str) -> str:
    """Return a text as an attribute of a message: not empty, not long, for XML."""
    return _UNSENDABLE.sub("\ufffd", text)[:_LONGEST_REASON] or "-"
