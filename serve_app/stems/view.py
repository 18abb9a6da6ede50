"""Jobs as clients see them: conversion to the models of the API."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from serve_app.jobs.job import AnyJob, State
from serve_app.separation import licences
from serve_app.stems.request import SeparationJob, StemFile
from serve_app.stems.wire import (
    JobOptions,
    JobStatus,
    JobSummary,
    JobView,
    Licences,
    Stem,
)

_NO_LINKS: Mapping[str, str] = {}
# Below this progress, an estimate of the remaining time is useless.
_ETA_FROM = 0.02
_STATUSES = {
    State.QUEUED: JobStatus.PENDING,
    State.RUNNING: JobStatus.PROCESSING,
    State.SUCCEEDED: JobStatus.COMPLETED,
    State.FAILED: JobStatus.FAILED,
    State.CANCELLED: JobStatus.CANCELLED,
}


def status(job: AnyJob) -> JobStatus:
    """Return the status of `job` for its client; `cancelled` as soon as requested."""
    if job.cancel_requested and not job.state.is_final:
        return JobStatus.CANCELLED
    return _STATUSES[job.state]


def is_over(job: AnyJob) -> bool:
    """Whether the client's view of the job will not change any more."""
    return job.state.is_final or job.cancel_requested


def job_view(
    job: SeparationJob,
    now: datetime,
    base_url: str = "",
    links: Mapping[str, str] = _NO_LINKS,
) -> JobView:
    """Return the full view of `job`.

    Its stems' URLs are below `base_url`, except those in `links`, by name, which are
    downloaded directly from the store.
    """
    options, result = job.request.options, job.result
    model = options.model if result is None else result.model
    view = JobView(
        job_id=job.id,
        status=status(job),
        progress=percent(job),
        filename=job.request.source.filename,
        created_at=job.created_at,
        updated_at=job.updated_at,
        expires_at=job.expires_at,
        stage=job.stage if job.state is State.RUNNING else None,
        eta_seconds=eta_seconds(job, now),
        model=model,
        licences=licences_view(licences.of(model)),
        format=options.format,
        options=JobOptions(
            model=options.model,
            stems=options.stems,
            format=options.format,
            priority=options.priority,
            bpm_range=options.bpm_range,
        ),
        duration=job.request.source.duration_seconds,
        sample_rate=job.request.source.sample_rate,
        disk_bytes=job.disk_bytes if not is_over(job) and job.disk_bytes else None,
    )
    return view.model_copy(update=_outcome(job, base_url, links))


def licences_view(of_model: licences.Licences | None) -> Licences | None:
    """Return the view of a model's licences, or None if they are unknown."""
    return None if of_model is None else Licences.model_validate(asdict(of_model))


def _outcome(
    job: SeparationJob, base_url: str, links: Mapping[str, str]
) -> dict[str, object]:
    if job.state is State.FAILED:
        return {
            "error": job.error or "The separation failed.",
            "error_code": job.error_code,
        }
    if job.state is not State.SUCCEEDED or job.result is None:
        return {}
    return {
        "stems": {
            stem.name: _stem(
                stem, links.get(stem.name) or f"{base_url}{stem_path(job.id, stem)}"
            )
            for stem in job.result.stems
        },
        "gain": job.result.gain,
        "engine": job.result.engine,
        "analysis": job.result.analysis,
        "analysis_error": job.result.analysis_error,
        "cache": job.result.cache,
    }


def job_summary(job: SeparationJob) -> JobSummary:
    """Return the view of `job` in a list."""
    return JobSummary(
        job_id=job.id,
        status=status(job),
        filename=job.request.source.filename,
        created_at=job.created_at,
        updated_at=job.updated_at,
        progress=percent(job),
        expires_at=job.expires_at,
    )


def eta_seconds(job: AnyJob, now: datetime) -> float | None:
    """Return the remaining time of the attempt at its average speed, or None.

    The estimate of a resumed attempt is too short at first.
    """
    if job.state is not State.RUNNING or job.started_at is None:
        return None
    done = min(max(job.progress, 0.0), 1.0)
    if done < _ETA_FROM:
        return None
    # The progress is that of the last update.
    took = (job.updated_at - job.started_at).total_seconds()
    since = (now - job.updated_at).total_seconds()
    return round(max(took * (1 - done) / done - since, 0.0), 1)


def percent(job: AnyJob) -> float:
    """Return how much of `job` is done, 0 to 100."""
    if job.state is State.SUCCEEDED:
        return 100.0
    return round(min(max(job.progress, 0.0), 1.0) * 100, 1)


def stem_path(job_id: str, stem: StemFile) -> str:
    """Return the path of a stem below the service's base URL."""
    return f"/job/{job_id}/stems/{stem.name}"


def mix_path(job_id: str, mix_id: str) -> str:
    """Return the path of a mix below the service's base URL."""
    return f"/job/{job_id}/mix/{mix_id}"


def _stem(stem: StemFile, url: str) -> Stem:
    return Stem(
        filename=stem.filename,
        size=stem.size_bytes,
        download_url=url,
        media_type=stem.media_type,
        sha256=stem.sha256,
    )
