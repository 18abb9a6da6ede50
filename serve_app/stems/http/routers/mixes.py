"""The routes of mixes: render one of a job's stems, and download it."""

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response

from serve_app.api import downloads
from serve_app.api.dependencies import (
    InjectedClient,
    InjectedCountWaiting,
    InjectedLinks,
)
from serve_app.api.downloads import Download
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.api.threads import run_in_thread
from serve_app.audio import formats
from serve_app.errors import (
    Busy,
    InvalidInput,
    JobNotFound,
    MixNotFound,
    NotReady,
    TooManyRequests,
    Unavailable,
)
from serve_app.stems import view
from serve_app.stems.http import lookup
from serve_app.stems.http.dependencies import InjectedDerived, InjectedStems
from serve_app.stems.wire import MixView, NewMix

router = APIRouter(tags=["separation"])
# Making a mix is reading: it adds nothing to a job that its stems don't have.
making_router = APIRouter(tags=["separation"])

_AUDIO = {"schema": {"type": "string", "format": "binary"}}
_CONTENT = {form.media_type: _AUDIO for form in formats.FORMATS.values()}


@making_router.post(
    "/job/{job_id}/mix",
    summary="Mix the stems of a job",
    responses=documented(
        *(JobNotFound, NotReady, InvalidInput, TooManyRequests, Unavailable, Busy)
    ),
)
async def make_mix(
    job_id: str,
    new: NewMix,
    client: InjectedClient,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    links: InjectedLinks,
) -> MixView:
    """Render the sum of the stems, each times its gain; stems without one are silent.

    It is as long as the song, and has its tags. If it would exceed full scale, it is
    scaled by one factor, the `gain` of the response. The response comes when the mix is
    ready; the same mix is rendered once. The eight newest mixes of a job are kept, and
    each for at least a minute: a ninth in that time is refused with 429.
    """
    count_waiting()
    job, mix = await derived.mix(client, job_id, new.gains, new.format)
    return MixView(
        download_url=links.url(view.mix_path(job.id, mix.id), job.expires_at),
        filename=mix.filename,
        size_bytes=mix.size_bytes,
        format=mix.format,
        gain=mix.gain,
    )


@router.head("/job/{job_id}/mix/{mix_id}", include_in_schema=False)
@router.get(
    "/job/{job_id}/mix/{mix_id}",
    summary="Download a mix",
    response_class=Response,
    responses={
        **documented(JobNotFound, MixNotFound, Unavailable),
        **downloads.responses("The whole mix", _CONTENT),
    },
)
async def read_mix(
    job_id: str,
    mix_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    derived: InjectedDerived,
) -> Response:
    """Return a mix's bytes. Supports `Range`, `If-Range` and `If-None-Match`.

    Its URL is the `download_url` of `POST /job/{job_id}/mix`.
    """
    mix, file = await derived.find_mix(client, job_id, mix_id)
    download = Download(
        file.size_bytes,
        downloads.version_of_stored(file),
        formats.parse(mix.format).media_type,
        mix.filename,
    )

    async def read(span: ByteRange) -> Iterator[bytes]:
        return await run_in_thread(lookup.read, services, file.key, span)

    return await downloads.answer(request, download, read)
