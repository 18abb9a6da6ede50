"""What is told of a song and of its stems: numbers, waveforms and pictures."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from serve_app import reports, titles
from serve_app.analysis import waveform_forms as forms
from serve_app.analysis.waveform import Pixels, Waveform
from serve_app.api import lookup, pieces
from serve_app.api.dependencies import (
    InjectedClient,
    InjectedCountWaiting,
    InjectedDerived,
    InjectedServices,
)
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.api.threads import run
from serve_app.content_disposition import attachment
from serve_app.errors import (
    Busy,
    InvalidInput,
    JobNotFound,
    NotReady,
    StemNotFound,
    TooManyRequests,
    Unavailable,
)
from serve_app.exports import registry
from serve_app.exports.registry import EXPORTS
from serve_app.jobs.job import Job
from serve_app.pictures import report as drawn_report
from serve_app.pictures import waveform as drawn_waveform
from serve_app.pictures.canvas import MEDIA_TYPES

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
    body = await run(derived.report, part)
    if asked.format != "json":
        waveform = await run(derived.waveform, part)
        body = await run(_report_drawn, asked, json.loads(body), waveform, job)
    return pieces.answer(request.headers, body, _media_type(asked.format), _HEADERS)


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
    forms.check(asked.bits, asked.bands)
    count_waiting()
    job, part = await derived.find(client, job_id, asked.stem)
    waveform = await run(derived.waveform, part)
    if asked.format in MEDIA_TYPES:
        body = await run(_waveform_drawn, asked, waveform)
        return pieces.answer(request.headers, body, _media_type(asked.format), _HEADERS)
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


def _waveform_drawn(asked: AskedWaveform, waveform: Waveform) -> bytes:
    width = asked.width or drawn_waveform.DEFAULT_WIDTH
    height = asked.height or drawn_waveform.DEFAULT_HEIGHT
    span = forms.span(
        waveform.sample_rate,
        waveform.samples,
        # As fine as the picture is, or as the waveform is kept.
        num_peaks=min(width, forms.MOST_PEAKS),
        start_seconds=asked.start,
        end_seconds=asked.end,
    )
    values = waveform.pixels(span, asked.bands).values
    return drawn_waveform.draw(values, asked.format, width, height)


def _report_drawn(
    asked: AskedReport, report: Mapping[str, Any], waveform: Waveform, job: Job
) -> bytes:
    width = asked.width or drawn_report.DEFAULT_WIDTH
    height = asked.height or drawn_report.DEFAULT_HEIGHT
    span = forms.span(waveform.sample_rate, waveform.samples, num_peaks=width)
    drawn = drawn_report.Report(
        title=job.source.filename,
        duration_seconds=report["duration"],
        waveform=waveform.pixels(span, bands=3).values,
        bpm=report.get("bpm") if report.get("bpm_confidence") else None,
        key=report.get("key") if report.get("key_confidence") else None,
        facts=_facts(report),
        beats=report.get("beats", ()),
        downbeats=report.get("downbeats", ()),
        keys=[(*_times(key), key["key"]) for key in report.get("keys", ())],
        sections=[
            (*_times(part), part["label"], part["energy"])
            for part in report.get("sections", ())
        ],
        loudness=report["levels"]["energy_dbfs"],
    )
    return drawn_report.draw(drawn, asked.format, width, height)


def _times(part: Mapping[str, Any]) -> tuple[float, float]:
    return part["start_seconds"], part["end_seconds"]


def _facts(report: Mapping[str, Any]) -> list[str]:
    loudness = report["loudness"]
    named = (
        ("{:.1f} LUFS", loudness["integrated_lufs"]),
        ("{:.1f} dBTP", loudness["true_peak_dbtp"]),
        ("range {:.1f} LU", loudness["range_lu"]),
    )
    return [text.format(value) for text, value in named if value is not None]


def _media_type(format: str) -> str:
    types: dict[str, str] = {"dat": _BINARY_TYPE} | dict(MEDIA_TYPES.items())
    return types.get(format, _JSON_TYPE)


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
    services: InjectedServices,
    derived: InjectedDerived,
    count_waiting: InjectedCountWaiting,
    format: Annotated[str, Query(description=f"One of: {', '.join(EXPORTS)}.")],
) -> Response:
    """Give beat grid, key and sections, or the stems, in the form of a DJ program.

    It is made when it is first asked for, which takes some seconds.
    """
    form = registry.parse(format)
    count_waiting()
    job, file = await derived.export(client, job_id, form)
    name = titles.file_name(job.source.filename, form.suffix)
    headers = {
        **_HEADERS,
        "Content-Disposition": attachment(name),
        "Content-Length": str(file.size_bytes),
    }
    part = ByteRange(0, file.size_bytes)
    if pieces.HEADER in request.headers:
        headers[pieces.HEADER] = "1"
        part = pieces.asked(request.headers, part)
    blocks = await run(lookup.read, services, file.key, part)
    return StreamingResponse(blocks, headers=headers, media_type=form.media_type)
