"""What is told of a song and of its stems: numbers, waveforms and pictures."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve_app import reports
from serve_app.analysis import waveform_forms as forms
from serve_app.analysis.waveform import Pixels, Waveform
from serve_app.api import pieces
from serve_app.api.dependencies import (
    InjectedClient,
    InjectedCountWaiting,
    InjectedDerived,
    InjectedServices,
)
from serve_app.api.problems import documented
from serve_app.api.threads import run
from serve_app.errors import (
    Busy,
    InvalidInput,
    JobNotFound,
    NotReady,
    StemNotFound,
    TooManyRequests,
    Unavailable,
)
from serve_app.jobs.job import Job

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
_CONTENT = {_JSON_TYPE: _JSON, **_PICTURES}


class Asked(BaseModel):
    """Which part of a job is asked for."""

    model_config = ConfigDict(frozen=True)

    stem: str = Field(
        default=reports.MIX, description="A stem by its name, or `mix`, the song."
    )
    width: int = Field(default=1600, ge=100, le=8000, description="Of a picture.")
    height: int = Field(default=600, ge=40, le=4000, description="Of a picture.")


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
    bits: Literal[8, 16] = Field(default=16, description="Of each number.")
    bands: Literal[1, 3] = Field(
        default=1, description="3 for low, mid and high by themselves."
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
    _, part = await derived.find(client, job_id, asked.stem)
    body = await run(derived.report, part)
    return pieces.answer(request.headers, body, _JSON_TYPE, _HEADERS)


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
    services: InjectedServices,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    asked: Annotated[AskedWaveform, Query()],
) -> Response:
    """Give the lowest and the highest sample by pixel, of the mean of the channels.

    `json` and `dat` are audiowaveform's formats, version 2, `peaks` is what
    wavesurfer.js takes, `library` has numbers from 0 to 1. Three `bands` are three
    channels.
    """
    count_waiting()
    job, part = await derived.find(client, job_id, asked.stem)
    waveform = await run(derived.waveform, part)
    span = forms.span(
        waveform.sample_rate,
        waveform.samples,
        pixels_per_second=asked.pixels_per_second,
        num_peaks=asked.num_peaks,
        start_seconds=asked.start,
        end_seconds=asked.end,
    )
    if asked.num_peaks and asked.bands == 1 and not waveform.is_exact(span):
        pixels = await services.tell_peaks(part, span)
    else:
        pixels = await run(waveform.pixels, span, asked.bands)
    body = await run(_formed, asked, pixels, waveform, job)
    return pieces.answer(request.headers, body, _media_type(asked.format), _HEADERS)


def _formed(
    asked: AskedWaveform, pixels: Pixels, waveform: Waveform, job: Job
) -> bytes:
    seconds = waveform.samples / waveform.sample_rate
    match asked.format:
        case "dat":
            return b"".join(forms.dat(pixels, asked.bits))
        case "peaks":
            return b"".join(forms.wavesurfer(pixels, asked.bits, seconds))
        case "library":
            # The same again for each piece of the answer.
            return json.dumps(forms.library(pixels, seconds, job.created_at)).encode()
        case _:
            return b"".join(forms.audiowaveform_json(pixels, asked.bits))


def _media_type(format: str) -> str:
    return {"dat": _BINARY_TYPE}.get(format, _JSON_TYPE)
