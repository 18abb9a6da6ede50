"""Songs that are analysed as jobs: look at one, cancel one."""

from fastapi import APIRouter, Response

from serve_app.api.clients import Client
from serve_app.api.dependencies import (
    InjectedBaseUrl,
    InjectedClient,
    InjectedCountWaiting,
    InjectedStreams,
)
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import (
    Busy,
    InvalidInput,
    JobNotFound,
    TooManyRequests,
    Unavailable,
)
from serve_app.stems import view
from serve_app.stems.analysis_jobs.kind import FOLDER, NAME
from serve_app.stems.analysis_jobs.view import analysis_view
from serve_app.stems.analysis_jobs.wire import AnalysisJobView
from serve_app.stems.http import lookup
from serve_app.stems.http.deletion import delete
from serve_app.stems.http.dependencies import InjectedAnalysisWatch, InjectedStems, Wait
from serve_app.stems.http.services import StemsServices
from serve_app.stems.wire import Deleted

router = APIRouter(tags=["analysis"])


@router.head("/analyze/{job_id}", include_in_schema=False)
@router.get(
    "/analyze/{job_id}",
    summary="Look at an analysis job",
    response_model_exclude_unset=True,
    responses=documented(JobNotFound, InvalidInput, TooManyRequests, Unavailable, Busy),
)
async def read_analysis_job(
    job_id: str,
    response: Response,
    client: InjectedClient,
    services: InjectedStems,
    watch: InjectedAnalysisWatch,
    count_waiting: InjectedCountWaiting,
    base_url: InjectedBaseUrl,
    streams: InjectedStreams,
    wait: Wait = 0,
) -> AnalysisJobView:
    """Return the progress of a job and, once it is completed, its analysis.

    Poll every 2 seconds, or give `wait`. A 404 is final: the job is unknown, was
    deleted or has expired.
    """
    response.headers["Cache-Control"] = "no-store"
    job = await run_in_thread(lookup.find_analysis, services, client, job_id)
    if wait and not view.is_over(job):
        count_waiting()
        stream = streams.begin(ages=False)
        job = await watch.until_over(job, wait, stream.limit)
    return analysis_view(job, services.clock(), base_url)


@router.delete(
    "/analyze/{job_id}",
    summary="Cancel and delete an analysis job",
    responses=documented(JobNotFound, Unavailable),
)
async def delete_analysis_job(
    job_id: str, client: InjectedClient, services: InjectedStems
) -> Deleted:
    """Cancel a job if it is not over, and delete it; it is gone then (404)."""
    return Deleted(message=await run_in_thread(_delete, services, client, job_id))


def _delete(services: StemsServices, client: Client, job_id: str) -> str:
    lookup.find_analysis(services, client, job_id)
    return delete(services, services.analysis_jobs, NAME, (FOLDER,), job_id)
