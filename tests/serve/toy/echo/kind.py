"""The kind of job that gives a text back."""

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
    """A text, how long it takes to give it back, and whom to tell."""

    text: str
    seconds: float = 0.0
    webhook_url: str | None = None


@dataclass(frozen=True)
class Echo:
    """The text, where it is stored, and when the work on it began and ended."""

    text: str
    key: str
    began_seconds: float
    ended_seconds: float


EchoJob = Job[EchoRequest, Echo]


@dataclass(frozen=True)
class EchoKind(Kind[EchoRequest, Echo]):
    """Texts to give back."""

    def messages(self, job: EchoJob, now: datetime) -> Sequence[Message]:
        """Return what the client of an ended job is told."""
        if job.request.webhook_url is None:
            return ()
        event = f"echo.{job.state}"
        body = {"type": event, "data": {"id": job.id, "text_url": f"/echo/{job.id}"}}
        url = job.request.webhook_url
        return (Message(WEBHOOK, url, event, json.dumps(body), job.id),)


def kind(retention_seconds: float) -> EchoKind:
    """Return the kind, whose jobs are kept for so long."""
    rules = Rules(retention_seconds=retention_seconds, at_once=2)
    return EchoKind(
        NAME, EchoRequest, Echo, ("think", "speak"), rules, folders=(FOLDER,)
    )
