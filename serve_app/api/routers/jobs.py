"""Separation: songs in, jobs to poll."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request, Response

from serve_app import views
from serve_app.api import lookup
from serve_app.api import options as wanted
from serve_app.api.dependencies import (
    InjectedIntake,
    InjectedServices,
    InjectedWatch,
)
from serve_app.api.problems import documented
from serve_app.api.services import Services
from serve_app.api.threads import run
from serve_app.api.uploads import Upload
from serve_app.audio.facts import AudioFacts
from serve_app.audio.formats import FORMATS
from serve_app.errors import (
    AudioTooLong,
    BadRequest,
    InvalidField,
    InvalidFilename,
    InvalidInput,
    JobNotFound,
    QueueFull,
    Unavailable,
    UnreadableAudio,
    UploadTooLarge,
)
from serve_app.jobs.job import (
    FOLDERS,
    ORIGINALS,
    Event,
    Job,
    Options,
    Priority,
    Source,
    State,
)
from serve_app.schema import Accepted, Deleted, JobList, JobStatus, JobView

router = APIRouter(tags=["separation"])

RETRY_AFTER_SECONDS = 15
LONGEST_WAIT_SECONDS = 60

SEPARATE_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "The song: mp3, wav, flac, m4a, ogg, opus, "
                            "aiff, or a video with sound.",
                        },
                        "model": {
                            "type": "string",
                            "default": wanted.DEFAULT_MODEL,
                            "description": "One of those that `/models` lists.",
                        },
                        "stems": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Stems of the model, repeated or separated "
                            "by commas; or `vocals` and `accompaniment`, all but the "
                            "vocals in one. All of the model's when left out.",
                        },
                        "format": {
                            "type": "string",
                            "enum": list(FORMATS),
                            "default": wanted.DEFAULT_FORMAT,
                        },
                        "priority": {
                            "type": "string",
                            "enum": list(Priority),
                            "default": Priority.NORMAL,
                            "description": "Jobs of a higher priority are begun first "
                            "and get three times as much of a device that they share.",
                        },
                        wanted.WEBHOOK_URL: {
                            "type": "string",
                            "format": "uri",
                            "description": "Where to tell of the job's end by a signed "
                            "POST (Standard Webhooks).",
                        },
                        wanted.WEBHOOK_EVENTS: {
                            "type": "array",
                            "items": {"type": "string", "enum": list(Event)},
                            "description": "Of which ends to tell, repeated or "
                            "separated by commas; of all when left out.",
                        },
                    },
                }
            }
        },
    }
}


@router.post(
    "/separate",
    status_code=202,
    summary="Separate a song",
    response_model_exclude_none=True,
    responses=documented(
        BadRequest,
        UploadTooLarge,
        AudioTooLong,
        InvalidField,
        InvalidFilename,
        UnreadableAudio,
        QueueFull,
        Unavailable,
    ),
    openapi_extra=SEPARATE_FORM,
)
async def separate(
    request: Request,
    response: Response,
    services: InjectedServices,
    intake: InjectedIntake,
) -> Accepted:
    """Take a song in and answer at once; poll `/job/{job_id}` for its stems.

    The song is decoded whole before the answer, so an accepted one can be separated.
    """
    await run(_check_queue, services)
    async with intake.receive(request, wanted.FIELDS) as upload:
        options = wanted.choose(
            upload.form.fields, services.models, services.default_model
        )
        webhook = wanted.webhook(upload.form.fields, services.check_webhook)
        job = _new_job(services, upload, options, await intake.measure(upload))
        job = job.evolve(webhook=webhook)
        await run(_hand_in, services, job, upload.path)
        services.wake()
    accepted = _accepted(job, services.hf_space_url)
    response.headers["Location"] = request.scope.get("root_path", "") + (
        accepted.status_url
    )
    return accepted


def _check_queue(services: Services) -> None:
    """Refuse early: nobody should upload a song to be told that the queue is full."""
    limit = services.limits.max_queued_jobs
    if services.jobs.is_full(limit):
        raise QueueFull(
            f"{limit} songs are waiting already: try again in "
            f"{RETRY_AFTER_SECONDS} seconds.",
            RETRY_AFTER_SECONDS,
        )


def _new_job(
    services: Services, upload: Upload, options: Options, facts: AudioFacts
) -> Job:
    job_id, now, form = uuid4().hex, services.clock(), upload.form
    source = Source(
        filename=form.filename,
        key=f"{ORIGINALS}/{job_id}",
        size_bytes=form.size_bytes,
        sha256=form.sha256,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        samples=facts.samples,
        mean=facts.mean,
        deviation=facts.deviation,
    )
    return Job(job_id, source, options, State.QUEUED, created_at=now, updated_at=now)


def _hand_in(services: Services, job: Job, path: Path) -> None:
    """Store the song, then the job: a dispatcher may take it up at once."""
    try:
        services.storage.put(job.source.key, path)
        services.jobs.add(job, max_queued=services.limits.max_queued_jobs)
    except BaseException:
        services.storage.delete(job.source.key)
        raise


def _accepted(job: Job, hf_space_url: str) -> Accepted:
    return Accepted(
        job_id=job.id,
        status=JobStatus.PENDING,
        message=f"Separation started. Poll /job/{job.id} for its progress.",
        filename=job.source.filename,
        size_bytes=job.source.size_bytes,
        duration=job.source.duration_seconds,
        model=job.options.model,
        stems=job.options.stems,
        format=job.options.format,
        status_url=f"/job/{job.id}",
        hf_space_url=hf_space_url or None,
    )


@router.get(
    "/job/{job_id}",
    summary="Look at a job",
    response_model_exclude_none=True,
    responses=documented(JobNotFound, InvalidInput, Unavailable),
)
async def read_job(
    job_id: str,
    response: Response,
    services: InjectedServices,
    watch: InjectedWatch,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="Answer only when the job is over, or after so many seconds.",
        ),
    ] = 0,
) -> JobView:
    """Say how far a job is and, once it is completed, where its stems are.

    Poll every 2 seconds, or give `wait`. A 404 is final: the job is unknown or has
    expired.
    """
    response.headers["Cache-Control"] = "no-store"
    job = await run(lookup.find_job, services, job_id)
    if wait and not views.is_over(job):
        job = await watch.until_over(job, wait)
    return await lookup.shown(services, job)


@router.get(
    "/jobs",
    summary="List jobs",
    response_model_exclude_none=True,
    responses=documented(InvalidInput, Unavailable),
)
async def list_jobs(
    response: Response,
    services: InjectedServices,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> JobList:
    """List the newest jobs that have not expired, the newest first."""
    response.headers["Cache-Control"] = "no-store"
    now = services.clock()
    jobs = [
        views.job_summary(job)
        for job in await run(services.jobs.recent, limit)
        if job.expires_at is None or job.expires_at > now
    ]
    return JobList(count=len(jobs), jobs=jobs)


@router.delete(
    "/job/{job_id}",
    summary="Cancel and delete a job",
    responses=documented(JobNotFound, Unavailable),
)
async def delete_job(job_id: str, services: InjectedServices) -> Deleted:
    """Cancel a job if it is not over, and delete its files.

    One that was over is gone afterwards (404); any other is `cancelled`.
    """
    return Deleted(message=await run(_delete, services, job_id))


def _delete(services: Services, job_id: str) -> str:
    had_ended = lookup.find_job(services, job_id).state.is_final
    services.jobs.cancel(job_id, services.limits.retention_seconds)
    # What runs can only end as cancelled now, whatever it finds missing.
    for folder in FOLDERS:
        services.storage.delete(f"{folder}/{job_id}")
    if not had_ended:
        return "The job is cancelled and its files are deleted."
    services.jobs.remove(job_id)
    return "The job and its files are deleted."
