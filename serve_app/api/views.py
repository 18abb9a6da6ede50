"""Jobs in the words of their clients."""

from serve_app.jobs.job import Job, State, StemFile
from serve_app.schema import JobOptions, JobStatus, JobSummary, JobView, Stem

_STATUSES = {
    State.QUEUED: JobStatus.PENDING,
    State.RUNNING: JobStatus.PROCESSING,
    State.SUCCEEDED: JobStatus.COMPLETED,
    State.FAILED: JobStatus.FAILED,
    State.CANCELLED: JobStatus.CANCELLED,
}


def status(job: Job) -> JobStatus:
    """Return where `job` stands for its client, who may have cancelled it just now."""
    if job.cancel_requested and not job.state.is_final:
        return JobStatus.CANCELLED
    return _STATUSES[job.state]


def job_view(job: Job) -> JobView:
    """Return all that a client may know of `job`."""
    options, result = job.options, job.result
    view = JobView(
        job_id=job.id,
        status=status(job),
        progress=_percent(job),
        filename=job.source.filename,
        created_at=job.created_at,
        updated_at=job.updated_at,
        expires_at=job.expires_at,
        stage=job.stage if job.state is State.RUNNING else None,
        model=options.model if result is None else result.model,
        format=options.format,
        options=JobOptions(
            model=options.model,
            stems=options.stems,
            format=options.format,
            priority=options.priority,
        ),
        duration=job.source.duration_seconds,
        sample_rate=job.source.sample_rate,
    )
    return view.model_copy(update=_outcome(job))


def _outcome(job: Job) -> dict[str, object]:
    if job.state is State.FAILED:
        return {
            "error": job.error or "The separation failed.",
            "error_code": job.error_code,
        }
    if job.state is not State.SUCCEEDED or job.result is None:
        return {}
    return {
        "stems": {stem.name: _stem(job.id, stem) for stem in job.result.stems},
        "gain": job.result.gain,
        "engine": job.result.engine,
        "analysis": job.result.analysis,
        "analysis_error": job.result.analysis_error,
    }


def job_summary(job: Job) -> JobSummary:
    """Return the line of `job` in a list."""
    return JobSummary(
        job_id=job.id,
        status=status(job),
        filename=job.source.filename,
        created_at=job.created_at,
        updated_at=job.updated_at,
        progress=_percent(job),
        expires_at=job.expires_at,
    )


def _percent(job: Job) -> float:
    if job.state is State.SUCCEEDED:
        return 100.0
    return round(min(max(job.progress, 0.0), 1.0) * 100, 1)


def _stem(job_id: str, stem: StemFile) -> Stem:
    return Stem(
        filename=stem.filename,
        size=stem.size_bytes,
        download_url=f"/job/{job_id}/stems/{stem.name}",
        media_type=stem.media_type,
        sha256=stem.sha256,
    )
