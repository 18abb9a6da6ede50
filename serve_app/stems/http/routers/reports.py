"""The routes of analysis: reports, waveforms, pictures and exports."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve_app.api import dependencies, downloads
from serve_app.api.dependencies import InjectedClient, InjectedCountWaiting
from serve_app.api.downloads import Download
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.api.threads import run_in_thread
from serve_app.errors import (
    Busy,
    InvalidInput,
    JobNotFound,
    NotReady,
    StemNotFound,
    TooManyRequests,
    Unavailable,
)
from serve_app.filenames import titles
from serve_app.stems import rendering, reports
from serve_app.stems.exports import forms
from serve_app.stems.exports.forms import EXPORTS
from serve_app.stems.http import lookup
from serve_app.stems.http.dependencies import InjectedDerived, InjectedStems

router = APIRouter(
    tags=["analysis"], dependencies=[Depends(dependencies.check_query_once)]
)

_ERRORS = documented(
    JobNotFound,
    StemNotFound,
    NotReady,
    InvalidInput,
    TooManyRequests,
    Unavailable,
    Busy,
)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_JSON = {"schema": {"type": "object"}}
_PICTURES = {"image/png": _BINARY, "image/svg+xml": _BINARY}

_JSON_TYPE, _BINARY_TYPE = "application/json", "application/octet-stream"
_EXPORTED = {export.media_type: _BINARY for export in EXPORTS.values()}
_CONTENT = {_JSON_TYPE: _JSON, **_PICTURES}


def _length(smallest: int, largest: int) -> Any:
    description = f"The size of a picture: {smallest} to {largest} pixels."
    return Field(default=None, ge=smallest, le=largest, description=description)


class StemQuery(BaseModel):
    """The query parameter that names a stem or the song."""

    model_config = ConfigDict(frozen=True)

    stem: str = Field(
        default=reports.MIX, description="The name of a stem, or `mix` for the song."
    )


class ReportQuery(StemQuery):
    """The query parameters of a report."""

    format: Literal["json", "png", "svg"] = "json"
    width: int | None = _length(rendering.SMALLEST_REPORT[0], rendering.WIDEST)
    height: int | None = _length(rendering.SMALLEST_REPORT[1], rendering.HIGHEST)


class WaveformQuery(StemQuery):
    """The query parameters of a waveform."""

    format: Literal["json", "dat", "peaks", "library", "png", "svg"] = "json"
    width: int | None = _length(rendering.SMALLEST_WAVEFORM[0], rendering.WIDEST)
    height: int | None = _length(rendering.SMALLEST_WAVEFORM[1], rendering.HIGHEST)
    pixels_per_second: float | None = Field(
        default=None,
        ge=rendering.LEAST_PIXELS_PER_SECOND,
        le=rendering.MOST_PIXELS_PER_SECOND,
        allow_inf_nan=False,
        description=f"The resolution: {rendering.LEAST_PIXELS_PER_SECOND} to "
        f"{rendering.MOST_PIXELS_PER_SECOND}, 100 by default.",
    )
    num_peaks: int | None = Field(
        default=None,
        ge=1,
        le=rendering.MOST_PEAKS,
        description=f"The number of pixels, 1 to {rendering.MOST_PEAKS}, instead of "
        "the resolution. The response has at most this many, each as short as "
        "possible. `library` has exactly this many, 1024 by default.",
    )
    bits: int = Field(
        default=16,
        description="The size of each number: 8 or 16.",
        json_schema_extra={"enum": [8, 16]},
    )
    bands: int = Field(
        default=1,
        description="1, or 3 for separate low, mid and high bands.",
        json_schema_extra={"enum": [1, 3]},
    )
    start: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="The start, in seconds."
    )
    end: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="The end, in seconds. `duration` is that of the excerpt.",
    )


@router.head("/job/{job_id}/analysis", include_in_schema=False)
@router.get(
    "/job/{job_id}/analysis",
    summary="Get the analysis of a song or a stem",
    response_class=Response,
    responses={**_ERRORS, **downloads.responses("The report", _CONTENT)},
)
async def read_analysis(
    job_id: str,
    request: Request,
    client: InjectedClient,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    query: Annotated[ReportQuery, Query()],
) -> Response:
    """Return the full analysis of the song, or the loudness and levels of a stem.

    The song's analysis is available before its stems. A picture of the song shows
    waveform, bars, keys, sections and loudness; one of a stem shows waveform and
    loudness. The first request may take some seconds. Each parameter may be given once;
    unknown ones are ignored.
    """
    count_waiting()
    job, sound = await derived.find(client, job_id, query.stem)
    body = await run_in_thread(derived.report, sound)
    if query.format != "json":
        waveform = await run_in_thread(derived.waveform, sound)
        look = rendering.ReportLook(
            job.request.source.filename,
            query.format,
            stem=None if query.stem == reports.MIX else query.stem,
            width=query.width,
            height=query.height,
        )
        body = await run_in_thread(rendering.report, json.loads(body), waveform, look)
    return await _answer(request, body, query.format)


@router.head("/job/{job_id}/waveform", include_in_schema=False)
@router.get(
    "/job/{job_id}/waveform",
    summary="Get the waveform of a song or a stem",
    response_class=Response,
    responses={
        **_ERRORS,
        **downloads.responses("The waveform", {**_CONTENT, _BINARY_TYPE: _BINARY}),
    },
)
async def read_waveform(
    job_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    query: Annotated[WaveformQuery, Query()],
) -> Response:
    """Return the lowest and the highest sample per pixel, of the mean of the channels.

    `json` and `dat` are audiowaveform's formats, version 2. `peaks` is for
    wavesurfer.js. `library` has numbers from 0 to 1. Three `bands` are three channels.
    There are at most 1,350,000 pixels. Each parameter may be given once; unknown ones
    are ignored.
    """
    rendering.check(query.bits, query.bands)
    count_waiting()
    job, sound = await derived.find(client, job_id, query.stem)
    waveform = await run_in_thread(derived.waveform, sound)
    look = rendering.Look(**query.model_dump(exclude={"stem"}))
    pixels = None
    if span := rendering.exact_span(waveform, look):
        pixels = await services.analyses.exact_peaks(sound, span)
    # A fixed time, so that all pieces of a response come from the same body.
    made_at = job.created_at
    body = await run_in_thread(rendering.waveform, waveform, look, made_at, pixels)
    return await _answer(request, body, query.format)


async def _answer(request: Request, body: bytes, form: str) -> Response:
    version = await run_in_thread(downloads.version_of_bytes, body)
    download = Download(len(body), version, rendering.MEDIA_TYPES[form])

    async def read(span: ByteRange) -> bytes:
        return body[span.start : span.end]

    return await downloads.answer(request, download, read)


@router.head("/job/{job_id}/export", include_in_schema=False)
@router.get(
    "/job/{job_id}/export",
    summary="Export a song and its stems for a DJ program",
    response_class=Response,
    responses={**_ERRORS, **downloads.responses("The file", _EXPORTED)},
)
async def read_export(
    job_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    format: Annotated[str, Query(description=f"One of: {', '.join(EXPORTS)}.")],
) -> Response:
    """Return beat grid, key and sections, or the stems, in a DJ program's format.

    The first request makes the export, which takes some seconds. `format` may be given
    once; unknown parameters are ignored.
    """
    form = forms.parse(format)
    count_waiting()
    job, file = await derived.export(client, job_id, form)
    download = Download(
        file.size_bytes,
        downloads.version_of_stored(file),
        form.media_type,
        titles.file_name(job.request.source.filename, form.suffix),
    )

    async def read(span: ByteRange) -> Iterator[bytes]:
        return await run_in_thread(lookup.read, services, file.key, span)

    return await downloads.answer(request, download, read)
