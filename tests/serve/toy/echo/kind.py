"""The kind of job that returns a text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from serve_app.jobs.job import Job
from serve_app.jobs.kind import Kind, Rules
from serve_app.webhooks.message import WEBHOOK, Message

NAME = "echo"
FOLDER = "echo"


@dataclass(frozen=True)
class EchoRequest:
    """A text, the duration of the job, and a webhook to send at its end."""

    text: str
    seconds: float = 0.0
    webhook_url: str | None = None


@dataclass(frozen=True)
class Echo:
    """The text, its key in the storage, and when the work on it began and ended."""

    text: str
    key: str
    began_seconds: float
    ended_seconds: float


EchoJob = Job[EchoRequest, Echo]


@dataclass(frozen=True)
class EchoKind(Kind[EchoRequest, Echo]):
    """Jobs that return a text."""

    def messages(self, job: EchoJob, now: datetime) -> Sequence[Message]:
        """Return the webhook to send at the end of a job, if the client wants one."""
        if job.request.webhook_url is None:
            return ()
        event = f"echo.{job.state}"
        body = {"type": event, "data": {"id": job.id, "text_url": f"/echo/{job.id}"}}
        url = job.request.webhook_url
        return (Message(WEBHOOK, url, event, json.dumps(body), job.id),)


def kind(retention_seconds: float) -> EchoKind:
    """Return the kind; its jobs are kept for `retention_seconds`."""
    rules = Rules(retention_seconds=retention_seconds, at_once=2)
    return EchoKind(
        NAME, EchoRequest, Echo, ("think", "speak"), rules, folders=(FOLDER,)
    )
