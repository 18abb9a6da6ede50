"""The route of all stems of a job as one zip."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from fastapi import APIRouter, Request, Response

from serve_app.api import downloads, pieces
from serve_app.api.dependencies import InjectedClient
from serve_app.api.downloads import Download
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.api.threads import run_in_thread
from serve_app.api.zip_layout import Member, ZipLayout
from serve_app.errors import JobNotFound, NotReady, Unavailable
from serve_app.filenames import titles
from serve_app.stems.http import lookup
from serve_app.stems.http.dependencies import InjectedChecksums, InjectedStems
from serve_app.stems.http.services import StemsServices
from serve_app.stems.request import SeparationJob, StemFile

router = APIRouter(tags=["separation"])

_MEDIA_TYPE = "application/zip"
_CONTENT = {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
# Changes whenever the same stems would give other bytes.
_LAYOUT_VERSION = "1"


@router.head("/job/{job_id}/stems.zip", include_in_schema=False)
@router.get(
    "/job/{job_id}/stems.zip",
    summary="Download all stems as a zip",
    response_class=Response,
    responses={
        **documented(JobNotFound, NotReady, Unavailable),
        **downloads.responses("The zip", _CONTENT),
    },
)
async def read_zip(
    job_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    checksums: InjectedChecksums,
) -> Response:
    """Return all stems, uncompressed, under their file names.

    Supports `Range`, `If-Range` and `If-None-Match`, so that an interrupted download
    can be resumed.
    """
    job = await run_in_thread(lookup.find_job, services, client, job_id)
    stems = lookup.check_stems(job)
    if pieces.is_first(request.headers):
        await run_in_thread(_check_stored, services, stems)
    download = Download(
        _layout(job, stems, [0] * len(stems)).size_bytes,
        _version(stems),
        _MEDIA_TYPE,
        titles.file_name(job.request.source.filename, "_stems.zip"),
    )

    async def read(span: ByteRange) -> Iterator[bytes]:
        crcs = await asyncio.gather(*(checksums.of(stem) for stem in stems))
        layout = _layout(job, stems, crcs)
        return await run_in_thread(_read, services, layout, stems, span)

    return await downloads.answer(request, download, read)


def _layout(
    job: SeparationJob, stems: Sequence[StemFile], crcs: Sequence[int]
) -> ZipLayout:
    members = [
        Member(stem.filename, stem.size_bytes, crc)
        for stem, crc in zip(stems, crcs, strict=True)
    ]
    return ZipLayout(members, job.created_at)


def _version(stems: Sequence[StemFile]) -> str:
    facts = [f"{stem.sha256} {stem.filename}" for stem in stems]
    return downloads.version_of_bytes("\n".join([_LAYOUT_VERSION, *facts]).encode())


def _check_stored(services: StemsServices, stems: Iterable[StemFile]) -> None:
    """Raise JobNotFound if the file of a stem was deleted."""
    with lookup.expired():
        for stem in stems:
            services.storage.stat(stem.key)


def _read(
    services: StemsServices,
    layout: ZipLayout,
    stems: Sequence[StemFile],
    span: ByteRange,
) -> Iterator[bytes]:
    """Return a range of the zip; raise JobNotFound if a stem in it was deleted."""
    _check_stored(services, (stems[each] for each in layout.members_in(span)))

    def read_member(position: int, part: ByteRange) -> Iterator[bytes]:
        return services.storage.read(stems[position].key, part.start, part.end)

    return layout.read(span, read_member)
