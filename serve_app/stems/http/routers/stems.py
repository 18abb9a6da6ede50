"""The routes of stems: downloads, and live playback of unfinished ones."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from serve_app.api import downloads
from serve_app.api.dependencies import InjectedClient, InjectedCountWaiting
from serve_app.api.downloads import Download
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.api.threads import run_in_thread
from serve_app.errors import (
    Busy,
    JobNotFound,
    NotReady,
    StemNotFound,
    TooManyRequests,
    Unavailable,
)
from serve_app.jobs.job import State
from serve_app.stems.http import lookup
from serve_app.stems.http.dependencies import InjectedStems
from serve_app.stems.http.services import Follower, StemsServices
from serve_app.stems.request import StemFile

router = APIRouter(tags=["separation"])

_FOLLOW_SECONDS = 0.25
_AUDIO = {"schema": {"type": "string", "format": "binary"}}
_MEDIA_TYPES = ("audio/wav", "audio/flac", "audio/mpeg", "audio/mp4", "audio/ogg")
_RESPONSES = {
    **documented(
        JobNotFound,
        StemNotFound,
        NotReady,
        TooManyRequests,
        Unavailable,
        Busy,
    ),
    **downloads.responses(
        "The whole stem", {media_type: _AUDIO for media_type in _MEDIA_TYPES}
    ),
}


@router.get(
    "/job/{job_id}/stems/{stem_name}",
    summary="Download a stem",
    response_class=Response,
    responses=_RESPONSES,
)
async def read_stem(
    job_id: str,
    stem_name: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    count_waiting: InjectedCountWaiting,
    follow: Annotated[
        bool,
        Query(
            description="Stream the stem of an unfinished job while it is separated: a "
            "16-bit wav, without the gain that prevents clipping."
        ),
    ] = False,
) -> Response:
    """Return a stem's bytes. Supports `Range`, `If-Range` and `If-None-Match`."""
    if follow:
        job = await run_in_thread(
            lookup.find_running, services, client, job_id, stem_name
        )
        if job.state is not State.SUCCEEDED:
            count_waiting()
            follower = await run_in_thread(services.follow, job, stem_name)
            return StreamingResponse(
                _followed(follower),
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
                media_type="audio/wav",
            )
    stem = await run_in_thread(lookup.find_stem, services, client, job_id, stem_name)
    return await _answer(request, services, stem)


async def _answer(
    request: Request, services: StemsServices, stem: StemFile
) -> Response:
    download = Download(stem.size_bytes, stem.sha256, stem.media_type, stem.filename)

    async def read(span: ByteRange) -> Iterator[bytes]:
        return await run_in_thread(lookup.read, services, stem.key, span)

    return await downloads.answer(request, download, read)


async def _followed(follower: Follower) -> AsyncIterator[bytes]:
    """Yield the chunks that are ready; wait for more without blocking a thread."""
    chunks = follower.chunks()
    try:
        while True:
            while not await run_in_thread(follower.is_ready):  # noqa: ASYNC110  it polls the storage
                await asyncio.sleep(_FOLLOW_SECONDS)
            chunk = await run_in_thread(next, chunks, None)
            if chunk is None:
                return
            yield chunk
    finally:
        follower.stop()


@router.head(
    "/job/{job_id}/stems/{stem_name}",
    summary="Get the headers of a stem",
    response_class=Response,
    responses=documented(JobNotFound, StemNotFound, NotReady, Unavailable),
)
async def describe_stem(
    job_id: str,
    stem_name: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
) -> Response:
    """Return the headers of a download, without the bytes."""
    stem = await run_in_thread(lookup.find_stem, services, client, job_id, stem_name)
    return await _answer(request, services, stem)
