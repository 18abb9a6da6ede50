"""The routes of stems: downloads, and live playback of unfinished ones."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from serve_app.api import downloads, ranges
from serve_app.api.dependencies import (
    InjectedClient,
    InjectedCountWaiting,
    InjectedStreams,
)
from serve_app.api.downloads import Download
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.api.streams import Stream, WholeOrAborted
from serve_app.api.threads import run_in_thread
from serve_app.audio.wave import FLOAT32, PCM16
from serve_app.errors import (
    AppError,
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

logger = logging.getLogger(__name__)

router = APIRouter(tags=["separation"])

_FOLLOW_SECONDS = 0.25
# By format, the wav of a playback and its version: a position in it always means the
# same sample.
_PLAYBACKS = {
    "wav": (PCM16, '"playback"'),
    "wav32f": (FLOAT32, '"playback-wav32f"'),
}
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
    streams: InjectedStreams,
    follow: Annotated[
        bool,
        Query(
            description="Stream the stem of an unfinished job while it is separated: a "
            "wav, without the gain that prevents clipping. It supports `Range` and "
            "`If-Range`."
        ),
    ] = False,
    format: Annotated[
        Literal["wav", "wav32f"],
        Query(
            description="The format of what `follow` streams: 16 bits, clipped at full "
            "scale, or 32-bit floats, which are never clipped."
        ),
    ] = "wav",
) -> Response:
    """Return a stem's bytes. Supports `Range`, `If-Range` and `If-None-Match`."""
    if follow:
        job = await run_in_thread(
            lookup.find_running, services, client, job_id, stem_name
        )
        form, version = _PLAYBACKS[format]
        # The rest of a playback that was begun before the job was completed.
        is_rest = request.headers.get("if-range") == version
        if job.state is not State.SUCCEEDED or is_rest:
            count_waiting()
            follower = await run_in_thread(services.follow, job, stem_name, form)
            # Clients without Range can't continue a stream: theirs does not age.
            stream = streams.begin(ages="range" in request.headers)
            return _playback(request, follower, version, stream)
    stem = await run_in_thread(lookup.find_stem, services, client, job_id, stem_name)
    return await _answer(request, services, stem)


async def _answer(
    request: Request, services: StemsServices, stem: StemFile
) -> Response:
    download = Download(stem.size_bytes, stem.sha256, stem.media_type, stem.filename)

    async def read(span: ByteRange) -> Iterator[bytes]:
        return await run_in_thread(lookup.read, services, stem.key, span)

    return await downloads.answer(request, download, read)


def _playback(
    request: Request, follower: Follower, version: str, stream: Stream
) -> Response:
    """Return the response with the bytes that `Range` requests, or all of them."""
    headers = {
        "ETag": version,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }
    size_bytes = follower.size_bytes
    status, span = 200, ByteRange(0, size_bytes)
    if requested := ranges.requested(request.headers, size_bytes, version):
        status, span = 206, requested
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size_bytes}"
    chunks = _followed(follower, span.start, stream)
    return WholeOrAborted(chunks, span.size_bytes, status, headers, "audio/wav")


async def _followed(
    follower: Follower, start_bytes: int, stream: Stream
) -> AsyncGenerator[bytes]:
    """Yield the chunks that are ready; wait for more without blocking a thread.

    Ends early when the stream must, and when the stem can't be read any further.
    """
    chunks = follower.chunks(start_bytes)
    try:
        while not stream.is_over:
            if not await run_in_thread(follower.is_ready):
                await asyncio.sleep(_FOLLOW_SECONDS)
                continue
            chunk = await run_in_thread(next, chunks, None)
            if chunk is None:
                return
            if chunk:
                yield chunk
    except AppError as error:
        logger.info("playback aborted: %s", error.detail)
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
