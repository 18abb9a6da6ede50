"""The shapes of answers about analysis jobs."""

from typing import Literal

from pydantic import ConfigDict, Field

from serve_app.api.wire import (
    EXAMPLE_BASE_URL,
    EXAMPLE_CREATED,
    EXAMPLE_EXPIRES,
    EXAMPLE_JOB_ID,
    EXAMPLE_UPDATED,
    IgnoredFields,
    UtcTime,
    Wire,
)
from serve_app.stems.wire import Analysis, JobStatus

_EXAMPLE_URL = f"{EXAMPLE_BASE_URL}/analyze/{EXAMPLE_JOB_ID}"


class AnalysisAccepted(Wire):
    """A song that will be analysed as a job."""

    success: Literal[True] = True
    job_id: str
    status: Literal[JobStatus.PENDING] = JobStatus.PENDING
    message: str
    filename: str
    size_bytes: int
    duration: float = Field(description="Length of the song in seconds.")
    sample_rate: int = Field(description="Of the file, in Hz.")
    status_url: str = Field(
        description="Where to poll: an absolute URL.", examples=[_EXAMPLE_URL]
    )
    ignored_fields: IgnoredFields = ()


class AnalysisJobView(Wire):
    """An analysis job: its progress, and its result or the reason why it failed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": EXAMPLE_JOB_ID,
                "status": "completed",
                "status_url": _EXAMPLE_URL,
                "progress": 100.0,
                "filename": "mix.mp3",
                "size_bytes": 144_000_000,
                "duration": 7200.0,
                "sample_rate": 44100,
                "created_at": EXAMPLE_CREATED,
                "updated_at": EXAMPLE_UPDATED,
                "expires_at": EXAMPLE_EXPIRES,
                "analysis": {
                    "success": True,
                    "filename": "mix.mp3",
                    "size_bytes": 144_000_000,
                    "bpm": 124.0,
                    "key": "C# minor",
                    "duration": 7200.0,
                    "sample_rate": 44100,
                },
            }
        }
    )

    job_id: str
    status: JobStatus
    status_url: str | None = Field(
        description="Where to poll: an absolute URL; null in a webhook of a service "
        "without a public one."
    )
    progress: float = Field(ge=0, le=100, description="Per cent done.")
    filename: str
    size_bytes: int
    duration: float = Field(description="Length of the song in seconds.")
    sample_rate: int = Field(description="Of the file, in Hz.")
    created_at: UtcTime
    updated_at: UtcTime
    expires_at: UtcTime | None = Field(
        default=None, description="When the job is deleted."
    )
    stage: str | None = Field(default=None, description="What a running job does now.")
    eta_seconds: float | None = Field(
        default=None, description="How long a running job still takes, estimated."
    )
    analysis: Analysis | None = Field(
        default=None, description="As in the answer to `POST /analyze`, once completed."
    )
    error: str | None = Field(default=None, description="Why the job failed.")
    error_code: str | None = Field(default=None, description="That as a stable word.")


class AnalysisMessage(Wire):
    """What is sent to the `webhook_url` of an analysis job that has ended."""

    type: str = Field(description="`job.completed`, `job.failed` or `job.cancelled`.")
    timestamp: UtcTime = Field(description="When the job ended.")
    data: AnalysisJobView = Field(description="The job as it was then.")
