"""What is told of a song and of its stems: numbers, waveforms and pictures."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from serve_app.api import pieces
from serve_app.api.dependencies import InjectedClient, InjectedCountWaiting
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
from serve_app.filenames.content_disposition import attachment
from serve_app.stems import rendering, reports
from serve_app.stems.exports import forms
from serve_app.stems.exports.forms import EXPORTS
from serve_app.stems.http import lookup
from serve_app.stems.http.dependencies import InjectedDerived, InjectedStems

router = APIRouter(tags=["analysis"])

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
_HEADERS = {"Cache-Control": "private, no-cache"}

_JSON_TYPE, _BINARY_TYPE = "application/json", "application/octet-stream"
_EXPORTED = {export.media_type: _BINARY for export in EXPORTS.values()}
_CONTENT = {_JSON_TYPE: _JSON, **_PICTURES}


class Asked(BaseModel):
    """Which part of a job is asked for."""

    model_config = ConfigDict(frozen=True)

    stem: str = Field(
        default=reports.MIX, description="A stem by its name, or `mix`, the song."
    )
    width: int | None = Field(default=None, description="Of a picture, in pixels.")
    height: int | None = Field(default=None, description="Of a picture, in pixels.")


class AskedReport(Asked):
    """How a report is asked for."""

    format: Literal["json", "png", "svg"] = "json"


class AskedWaveform(Asked):
    """How a waveform is asked for."""

    format: Literal["json", "dat", "peaks", "library", "png", "svg"] = "json"
    pixels_per_second: float | None = Field(
        default=None, description="How fine it is, 100 by default."
    )
    num_peaks: int | None = Field(
        default=None, description="How many pixels, instead of how fine."
    )
    bits: int = Field(default=16, description="Of each number: 8 or 16.")
    bands: int = Field(
        default=1, description="1, or 3 for low, mid and high by themselves."
    )
    start: float = Field(default=0.0, description="From so many seconds on.")
    end: float | None = Field(default=None, description="To so many seconds.")


@router.get(
    "/job/{job_id}/analysis",
    summary="All that is told of a song or a stem",
    response_class=Response,
    responses={200: {"description": "The report", "content": _CONTENT}, **_ERRORS},
)
async def read_analysis(
    job_id: str,
    request: Request,
    client: InjectedClient,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    asked: Annotated[AskedReport, Query()],
) -> Response:
    """Give all that was found out about the song, or a stem's loudness and levels.

    It is there before the stems are. A picture shows waveform, bars, keys, sections and
    loudness at a glance. What is not there yet is made, which takes some seconds.
    """
    count_waiting()
    job, part = await derived.find(client, job_id, asked.stem)
    body = await run_in_thread(derived.report, part)
    if asked.format != "json":
        waveform = await run_in_thread(derived.waveform, part)
        title, size = job.request.source.filename, (asked.width, asked.height)
        told = json.loads(body)
        body = await run_in_thread(
            rendering.report, told, waveform, title, asked.format, *size
        )
    media_type = rendering.MEDIA_TYPES[asked.format]
    return pieces.answer(request.headers, body, media_type, _HEADERS)


@router.get(
    "/job/{job_id}/waveform",
    summary="The waveform of a song or a stem",
    response_class=Response,
    responses={
        200: {
            "description": "The waveform",
            "content": {**_CONTENT, _BINARY_TYPE: _BINARY},
        },
        **_ERRORS,
    },
)
async def read_waveform(
    job_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    asked: Annotated[AskedWaveform, Query()],
) -> Response:
    """Give the lowest and the highest sample by pixel, of the mean of the channels.

    `json` and `dat` are audiowaveform's formats, version 2, `peaks` is what
    wavesurfer.js takes, `library` has numbers from 0 to 1. Three `bands` are three
    channels.
    """
    rendering.check(asked.bits, asked.bands)
    count_waiting()
    job, part = await derived.find(client, job_id, asked.stem)
    waveform = await run_in_thread(derived.waveform, part)
    look = rendering.Look(**asked.model_dump(exclude={"stem"}))
    pixels = None
    if span := rendering.exact_span(waveform, look):
        pixels = await services.analyses.tell_peaks(part, span)
    # The job's own time: each piece of the answer must be of the same one.
    made_at = job.created_at
    body = await run_in_thread(rendering.waveform, waveform, look, made_at, pixels)
    media_type = rendering.MEDIA_TYPES[asked.format]
    return pieces.answer(request.headers, body, media_type, _HEADERS)


@router.get(
    "/job/{job_id}/export",
    summary="A song and its stems for a DJ program",
    response_class=Response,
    responses={200: {"description": "The file", "content": _EXPORTED}, **_ERRORS},
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
    """Give beat grid, key and sections, or the stems, in the form of a DJ program.

    It is made when it is first asked for, which takes some seconds.
    """
    form = forms.parse(format)
    count_waiting()
    job, file = await derived.export(client, job_id, form)
    name = titles.file_name(job.request.source.filename, form.suffix)
    headers = {
        **_HEADERS,
        "Content-Disposition": attachment(name),
        "Content-Length": str(file.size_bytes),
    }
    part = ByteRange(0, file.size_bytes)
    if pieces.HEADER in request.headers:
        headers[pieces.HEADER] = "1"
        part = pieces.asked(request.headers, part)
    blocks = await run_in_thread(lookup.read, services, file.key, part)
    return StreamingResponse(blocks, headers=headers, media_type=form.media_type)
