"""The routes of separation jobs: submit, poll, list and delete."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from serve_app.api import idempotency
from serve_app.api.clients import Client
from serve_app.api.dependencies import (
    InjectedClient,
    InjectedCountWaiting,
    InjectedLinks,
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
from serve_app.stems import options, view
from serve_app.stems.http import lookup, openapi
from serve_app.stems.http.deletion import delete
from serve_app.stems.http.dependencies import (
    InjectedSongRequest,
    InjectedStems,
    InjectedWatch,
    Wait,
)
from serve_app.stems.http.services import StemsServices
from serve_app.stems.http.submission import Submission
from serve_app.stems.kind import FOLDERS, NAME
from serve_app.stems.wire import (
    Accepted,
    Deleted,
    JobList,
    JobView,
)

router = APIRouter(tags=["separation"])


@router.post(
    "/separate",
    summary="Separate a song",
    response_model=Accepted,
    responses=openapi.SONG_RESPONSES,
    openapi_extra=openapi.song_body(options.SEPARATE),
)
async def separate(song: InjectedSongRequest, _: idempotency.Key = None) -> Response:
    """Submit a song for separation, and poll `/job/{job_id}` for its stems.

    The whole song is decoded before the response, so an accepted song can be
    separated. `status` is always `pending`. A song that was separated before with the
    same options is completed at once, with `cache`, unless the request has
    `Cache-Control: no-cache`. Unknown form fields are ignored.
    """
    await song.check_room(song.services.jobs)
    async with song.receive(options.SEPARATE) as arrival:
        return await Submission(song).answer(arrival)


@router.head("/job/{job_id}", include_in_schema=False)
@router.get(
    "/job/{job_id}",
    summary="Get a job",
    response_model_exclude_none=True,
    responses=documented(JobNotFound, InvalidInput, TooManyRequests, Unavailable, Busy),
)
async def read_job(
    job_id: str,
    response: Response,
    client: InjectedClient,
    services: InjectedStems,
    watch: InjectedWatch,
    count_waiting: InjectedCountWaiting,
    links: InjectedLinks,
    streams: InjectedStreams,
    wait: Wait = 0,
) -> JobView:
    """Return a job's progress and, once it is completed, the URLs of its stems.

    Poll every 2 seconds, or use `wait`. A 404 is final: the job is unknown, was deleted
    or has expired. If it is deleted during `wait`, the response says `cancelled`.
    """
    response.headers["Cache-Control"] = "no-store"
    job = await run_in_thread(lookup.find_job, services, client, job_id)
    if wait and not view.is_over(job):
        count_waiting()
        stream = streams.begin(ages=False)
        job = await watch.until_over(job, wait, stream.limit)
    return await lookup.shown(services, job, links)


@router.head("/jobs", include_in_schema=False)
@router.get(
    "/jobs",
    summary="List jobs",
    response_model_exclude_none=True,
    responses=documented(InvalidInput, Unavailable),
)
async def list_jobs(
    response: Response,
    client: InjectedClient,
    services: InjectedStems,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="The largest number of jobs to return.")
    ] = 100,
) -> JobList:
    """Return the client's jobs, newest first, without deleted and expired ones."""
    response.headers["Cache-Control"] = "no-store"
    found = await run_in_thread(services.jobs.listed, client.tenant, limit)
    disk_bytes = await run_in_thread(services.jobs.disk_bytes, client.name)
    jobs = [view.job_summary(job) for job in found]
    return JobList(count=len(jobs), jobs=jobs, disk_bytes=disk_bytes or None)


@router.delete(
    "/job/{job_id}",
    summary="Cancel and delete a job",
    responses=documented(JobNotFound, Unavailable),
)
async def delete_job(
    job_id: str, client: InjectedClient, services: InjectedStems
) -> Deleted:
    """Cancel a job if it is not over, and delete it with its files.

    The job is unknown (404) from then on. Requests that wait for it get `cancelled`.
    """
    return Deleted(message=await run_in_thread(_delete, services, client, job_id))


def _delete(services: StemsServices, client: Client, job_id: str) -> str:
    lookup.find_job(services, client, job_id)
    return delete(services, services.jobs, NAME, FOLDERS, job_id)
