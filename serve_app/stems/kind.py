"""The kind of job that separates a song."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.kind import Kind, Rules
from serve_app.stems.request import Result, SeparationJob, SeparationRequest, Stage
from serve_app.stems.view import job_view, stem_path
from serve_app.stems.wire import (
    WebhookMessage,
)
from serve_app.storage.port import UPLOADS
from serve_app.usage.used import JobUsage
from serve_app.webhooks.message import WEBHOOK, Message
from serve_app.webhooks.target import Webhook, WebhookEvent

NAME = "separation"

# The keys of a job's files in storage: `originals/{job}`, `uploads/{job}`,
# `stems/{job}/{attempt}/{file}`, `parts/{job}/{engine}/{window}` (the windows), and
# `derived/{job}/{file}` (reports, waveforms and exports).
ORIGINALS, STEMS, WINDOWS = "originals", "stems", "parts"
DERIVED = "derived"
FOLDERS = (ORIGINALS, UPLOADS, STEMS, WINDOWS, DERIVED)

# Which event of a webhook reports which end.
END_EVENTS = {
    State.SUCCEEDED: WebhookEvent.COMPLETED,
    State.FAILED: WebhookEvent.FAILED,
    State.CANCELLED: WebhookEvent.CANCELLED,
}


def end_messages(
    job: AnyJob, webhook: Webhook | None, body: Callable[[WebhookEvent], str]
) -> Sequence[Message]:
    """Return the webhook of a `job` that has ended, if it has one for this end."""
    event = END_EVENTS[job.state]
    if webhook is None or event not in webhook.events:
        return ()
    return (Message(WEBHOOK, webhook.url, event, body(event), job.id),)


# Returns a path with the token of a link, for a tenant, the name of credentials and the
# time at which the link expires at the latest.
Sign = Callable[[str, str, str, datetime | None], str]


@dataclass(frozen=True)
class Separation(Kind[SeparationRequest, Result]):
    """The kind of job that separates a song, with webhooks when it ends.

    `sign` makes the links to stems in webhooks: their receivers have no credentials.
    """

    sign: Sign | None = None

    def messages(self, job: SeparationJob, now: datetime) -> Sequence[Message]:
        """Return the webhook messages of a `job` that has ended."""

        def body(event: WebhookEvent) -> str:
            data = job_view(job, now, links=self._links(job))
            return WebhookMessage(
                type=event, timestamp=job.updated_at, data=data
            ).model_dump_json(exclude_none=True)

        return end_messages(job, job.request.webhook, body)

    def _links(self, job: SeparationJob) -> Mapping[str, str]:
        """Return the paths of stems with tokens, by name, if the client has any."""
        webhook, result = job.request.webhook, job.result
        if webhook is None or webhook.credential is None or result is None:
            return {}
        if self.sign is None:
            return {}
        return {
            stem.name: self.sign(
                stem_path(job.id, stem), job.tenant, webhook.credential, job.expires_at
            )
            for stem in result.stems
        }

    def usage(self, job: SeparationJob) -> JobUsage:
        """Return what a job used; stems of an earlier job take no device seconds."""
        source, result = job.request.source, job.result
        return JobUsage(
            audio_seconds=job.audio_seconds,
            device_seconds=0.0 if result is None else result.device_seconds,
            bytes_in=source.size_bytes,
            bytes_out=_size_bytes(result),
        )

    def stored_bytes(self, job: SeparationJob) -> int:
        """Return the size of the song, and of the stems if there are any."""
        return job.request.source.size_bytes + _size_bytes(job.result)

    def is_wanted(self, job: SeparationJob, key: str) -> bool:
        """Whether the file at `key` is still needed: of the current attempt, if any."""
        folder, *_ = key.split("/")
        if folder == WINDOWS:
            return not job.state.is_final
        if folder != STEMS:
            return True
        has_stems = job.state in (State.RUNNING, State.SUCCEEDED)
        return has_stems and key.startswith(f"{STEMS}/{job.id}/{job.attempt}/")

    def title(self, job: SeparationJob) -> str:
        """Return the song's name."""
        return job.request.source.filename

    def log_fields(self, job: SeparationJob) -> Mapping[str, Any]:
        """Return the song's duration, and the model and cache state of a result."""
        fields = {"duration": f"{job.request.source.duration_seconds:.1f}s"}
        if job.result is None:
            return fields
        made = {"model": job.result.model, "cache": job.result.cache or "miss"}
        return {**fields, **made}


def _size_bytes(result: Result | None) -> int:
    return 0 if result is None else sum(stem.size_bytes for stem in result.stems)


_DEFAULT_RULES = Rules()


def separation(rules: Rules = _DEFAULT_RULES, sign: Sign | None = None) -> Separation:
    """Return the kind with these rules, whose webhooks have the links of `sign`."""
    return Separation(
        name=NAME,
        request=SeparationRequest,
        result=Result,
        stages=tuple(Stage),
        rules=rules,
        folders=FOLDERS,
        working_folders=(WINDOWS, STEMS),
        done_event="song separated",
        sign=sign,
    )
