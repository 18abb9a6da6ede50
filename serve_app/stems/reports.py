"""What is told of a song and of its stems, and where that is kept.

A part of a job is its song, `mix`, or a stem by its name. Of each there are two files:
what was found out, as JSON, and its waveform.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.errors import InvalidInput
from serve_app.stems.kind import DERIVED
from serve_app.stems.request import SeparationJob, StemFile

MIX = "mix"
# One number a second: a picture needs them, a list of jobs does not.
_TOO_LONG = ("energy_dbfs",)

# `88-175`, with the dashes and spaces that people put there.
_BPM_RANGE = re.compile(
    r"(\d{1,3}(?:\.\d+)?) *[-\u2013:] *(\d{1,3}(?:\.\d+)?)", re.ASCII
)
_SLOWEST_BPM, _FASTEST_BPM = 20.0, 400.0


@dataclass(frozen=True)
class Request:
    """A stored sound to be told of: the song of a job, or one of its stems.

    `place` is where its files go; empty where nothing is kept. `bpm_range` is between
    which tempos the song's is, if that is known.
    """

    key: str
    place: str = ""
    bpm_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class ExportRequest:
    """An export to make of a job whose song has that `report`, to be kept as `key`."""

    job: SeparationJob
    report: Mapping[str, Any]
    name: str
    key: str


def bpm_range(text: str) -> tuple[float, float]:
    """Return the lowest and the highest tempo of a range; InvalidInput for others."""
    if found := _BPM_RANGE.fullmatch(text.strip()):
        low, high = float(found[1]), float(found[2])
        if _SLOWEST_BPM <= low < high <= _FASTEST_BPM:
            return low, high
    raise InvalidInput(
        f"{text[:40]!r} is no range of tempos. Give the lowest and the highest, from "
        f"{_SLOWEST_BPM:.0f} to {_FASTEST_BPM:.0f}, as in 88-175."
    )


def of_export(
    job: SeparationJob, report: Mapping[str, Any], name: str
) -> ExportRequest:
    """Return the request for the export of that name of a job."""
    return ExportRequest(job, report, name, _place(job, f"export.{name}"))


def of_song(job: SeparationJob) -> Request:
    """Return the request for the song of a job."""
    return Request(
        job.request.source.key, _place(job, MIX), job.request.options.bpm_range
    )


def of_stem(job: SeparationJob, stem: StemFile) -> Request:
    """Return the request for a stem of a job."""
    return Request(stem.key, _place(job, stem.name))


def _place(job: SeparationJob, part: str) -> str:
    """Return where the files of a part lie, without their endings."""
    return f"{DERIVED}/{job.id}/{part}"


def report_key(place: str) -> str:
    """Return the key of what was found out about a part."""
    return f"{place}.json"


def waveform_key(place: str) -> str:
    """Return the key of a part's waveform."""
    return f"{place}.waveform"


def summary(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what of a song's report belongs into the job's own answer."""
    levels = report.get("levels", {})
    kept = {name: each for name, each in levels.items() if name not in _TOO_LONG}
    return {**report, "levels": kept}
