"""The kind of job that analyses a song."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serve_app.jobs.kind import Kind, Rules
from serve_app.stems.analysis_jobs.request import (
    AnalysisJob,
    AnalysisRequest,
    AnalysisResult,
    Stage,
)
from serve_app.stems.analysis_jobs.view import analysis_view
from serve_app.stems.analysis_jobs.wire import AnalysisMessage
from serve_app.stems.kind import end_messages
from serve_app.usage.used import JobUsage
from serve_app.webhooks.message import Message
from serve_app.webhooks.target import WebhookEvent

NAME = "analysis"
# A job's song is at `analyses/{job}/song`, and is swept when the job has ended.
FOLDER = "analyses"


@dataclass(frozen=True)
class SongAnalysis(Kind[AnalysisRequest, AnalysisResult]):
    """Songs to analyse; a webhook reports the end of each."""

    def messages(self, job: AnalysisJob, now: datetime) -> Sequence[Message]:
        """Return the webhook of a `job` that has ended, if its client wants one."""

        def body(event: WebhookEvent) -> str:
            return AnalysisMessage(
                type=event, timestamp=job.updated_at, data=analysis_view(job, now)
            ).model_dump_json(exclude_unset=True)

        return end_messages(job, job.request.webhook, body)

    def usage(self, job: AnalysisJob) -> JobUsage:
        """Return what a job used; an analysis takes no device seconds."""
        size_bytes = job.request.source.size_bytes
        return JobUsage(audio_seconds=job.audio_seconds, bytes_in=size_bytes)

    def stored_bytes(self, job: AnalysisJob) -> int:
        """Return 0: the song is deleted when its job has ended."""
        return 0

    def is_wanted(self, job: AnalysisJob, key: str) -> bool:
        """Whether the song is still needed: until its job has ended."""
        return not job.state.is_final

    def title(self, job: AnalysisJob) -> str:
        """Return the song's name."""
        return job.request.source.filename

    def log_fields(self, job: AnalysisJob) -> Mapping[str, Any]:
        """Return the song's length."""
        return {"duration": f"{job.request.source.duration_seconds:.1f}s"}


def song_key(job_id: str) -> str:
    """Return the key of a job's song in the storage."""
    return f"{FOLDER}/{job_id}/song"


def song_analysis(rules: Rules) -> SongAnalysis:
    """Return the kind, with the rules of an operator."""
    return SongAnalysis(
        name=NAME,
        request=AnalysisRequest,
        result=AnalysisResult,
        stages=tuple(Stage),
        rules=rules,
        folders=(FOLDER,),
        working_folders=(FOLDER,),
        done_event="song analysed",
    )
