"""Tasks that failed, messages that are no tasks, and webhooks that nobody took."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from serve_app.errors import JobNotFound
from serve_app.jobs.job import State
from serve_app.library import messages
from serve_app.library.task import LibraryJob, Stores, new_job
from serve_app.webhooks.delivery import Delivery
from serve_app.webhooks.message import Message
from serve_app.webhooks.outbox import Outbox

# The channels of dead letters, and of the library's webhooks, in the outbox.
CHANNEL, WEBHOOKS = "library-dead-letters", "library"
_EVENT = "dead-letter"
_LONGEST_REASON = 500
_UNKNOWN = "internal_error"
# What SQS allows in texts: the characters of XML 1.0.
_UNSENDABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class DeadLetter:
    """A task that failed, a message that is no task, or a webhook that nobody took.

    `task` is the task's name, or "", or the route of the webhook.
    """

    id: str
    failed_at: datetime
    task: str
    subject: str
    error_code: str
    error: str
    message: str


@dataclass(frozen=True)
class DeadLetters:
    """What has failed for good, in the stores of all kinds; methods block."""

    stores: Stores
    outbox: Outbox
    clock: Callable[[], datetime]

    def listed(self, limit: int) -> list[DeadLetter]:
        """Return the latest, newest first."""
        jobs = [job for store in self.stores.values() for job in store.failed(limit)]
        untaken = self.outbox.given_up(WEBHOOKS, limit)
        found = [*map(_of_job, jobs), *map(_of_webhook, untaken)]
        return sorted(found, key=lambda each: each.failed_at, reverse=True)[:limit]

    def retry(self, letter_id: str) -> str:
        """Replace a job that failed by a new one, or send a webhook again.

        Returns the id of the new job, or of the webhook, which stays the same. Raises
        JobNotFound if there is no such dead letter, and NotATask for a message that
        still is no task.
        """
        for store in self.stores.values():
            job = store.find([letter_id]).get(letter_id)
            if job is not None and job.state is State.FAILED:
                again = self._again(job)
                self.stores[again.request.name].add(again)
                store.remove(letter_id)
                return again.id
        for untaken in self.outbox.given_up(WEBHOOKS):
            if untaken.id == letter_id:
                return self.outbox.replay(untaken.job_id, letter_id, WEBHOOKS).id
        raise JobNotFound(
            "There is no such dead letter. `stemserve library dead-letters list` shows "
            "all."
        )

    def _again(self, job: LibraryJob) -> LibraryJob:
        task = job.request
        if not task.name:
            task = messages.parsed(task.message)
        return new_job(task, self.clock(), job.tenant, job.client)


def _of_job(job: LibraryJob) -> DeadLetter:
    return DeadLetter(
        id=job.id,
        failed_at=job.updated_at,
        task=job.request.name,
        subject=job.request.subject,
        error_code=job.error_code or _UNKNOWN,
        error=job.error or "The task failed.",
        message=job.request.message,
    )


def _of_webhook(untaken: Delivery) -> DeadLetter:
    last, body = untaken.log[-1], json.loads(untaken.body)
    answer = last.error or f"the last response had the status {last.status}"
    return DeadLetter(
        id=untaken.id,
        failed_at=last.at,
        task=untaken.event,
        subject=str(body.get("stemId") or body.get("stageId") or ""),
        error_code="webhook_not_taken",
        error=f"The receiver did not take the webhook: {answer}",
        message=untaken.body,
    )


def message(job: LibraryJob) -> Message:
    """Return the message that brings a job that failed to the dead-letter queue.

    Its body holds the original message, and the attributes that say why.
    """
    request = job.request
    attributes = {
        "reason": job.error or "The task failed.",
        "error_code": job.error_code or _UNKNOWN,
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
