"""Analysis jobs as their clients see them."""

from datetime import datetime

from serve_app.jobs.job import State
from serve_app.stems import view
from serve_app.stems.analysis_jobs.request import AnalysisJob
from serve_app.stems.analysis_jobs.wire import AnalysisJobView
from serve_app.stems.wire import Analysis


def analysis_path(job_id: str) -> str:
    """Return where a job is below the service's base URL."""
    return f"/analyze/{job_id}"


def analysis_view(
    job: AnalysisJob, now: datetime, base_url: str = ""
) -> AnalysisJobView:
    """Return `job` for a client at `base_url`; dump it with `exclude_unset`."""
    source = job.request.source
    is_failed = job.state is State.FAILED
    fields = {
        "job_id": job.id,
        "status": view.status(job),
        "status_url": f"{base_url}{analysis_path(job.id)}",
        "progress": view.percent(job),
        "filename": source.filename,
        "size_bytes": source.size_bytes,
        "duration": source.duration_seconds,
        "sample_rate": source.sample_rate,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "expires_at": job.expires_at,
        "stage": job.stage if job.state is State.RUNNING else None,
        "eta_seconds": view.eta_seconds(job, now),
        "analysis": _analysis(job),
        "error": (job.error or "The analysis failed.") if is_failed else None,
        "error_code": job.error_code if is_failed else None,
    }
    # Unset where there is nothing to say: a null within the analysis says something.
    return AnalysisJobView.model_validate(
        {name: value for name, value in fields.items() if value is not None}
    )


def _analysis(job: AnalysisJob) -> Analysis | None:
    """Return what `POST /analyze` answers, once the job has succeeded."""
    if job.state is not State.SUCCEEDED or job.result is None:
        return None
    source = job.request.source
    return Analysis.model_validate(
        {
            **job.result.report,
            "success": True,
            "filename": source.filename,
            "size_bytes": source.size_bytes,
            "duration": source.duration_seconds,
            "sample_rate": source.sample_rate,
        }
    )
