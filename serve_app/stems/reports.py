"""Requests for the analysis of songs and stems, and the keys of its files.

A job's song (`mix`) and each stem have two files: the report, as JSON, and the
waveform.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.errors import InvalidInput
from serve_app.stems.kind import DERIVED
from serve_app.stems.request import SeparationJob, StemFile
from serve_app.storage.port import Storage

MIX = "mix"
# One number a second: pictures need them, but they are too long for a job's view.
_TOO_LONG = ("energy_dbfs",)

# `88-175`, also with other dashes, a colon, or spaces.
_BPM_RANGE = re.compile(
    r"(\d{1,3}(?:\.\d+)?) *[-\u2013:] *(\d{1,3}(?:\.\d+)?)", re.ASCII
)
_SLOWEST_BPM, _FASTEST_BPM = 20.0, 400.0


@dataclass(frozen=True)
class Request:
    """A stored song or stem to analyse.

    `place` is the key of its files without their suffixes; if it is empty, nothing is
    stored. `bpm_range` is the range of the song's tempo, if it is known. `job_id` and
    `request_id` are for the log, and `traceparent` for the trace.
    """

    key: str
    place: str = ""
    bpm_range: tuple[float, float] | None = None
    job_id: str = ""
    request_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class ExportRequest:
    """An export of a job to make from its song's `report` and to store as `key`."""

    job: SeparationJob
    report: Mapping[str, Any]
    name: str
    key: str


def bpm_range(text: str) -> tuple[float, float]:
    """Parse a range of tempos; return the lowest and the highest.

    Raises InvalidInput for an invalid one.
    """
    if found := _BPM_RANGE.fullmatch(text.strip()):
        low, high = float(found[1]), float(found[2])
        if _SLOWEST_BPM <= low < high <= _FASTEST_BPM:
            return low, high
    raise InvalidInput(
        f"{text[:40]!r} is not a valid range of tempos. Give the lowest and the "
        f"highest, from {_SLOWEST_BPM:.0f} to {_FASTEST_BPM:.0f}, as in 88-175."
    )


def of_export(
    job: SeparationJob, report: Mapping[str, Any], name: str
) -> ExportRequest:
    """Return the request for an export of a job, by the export's name."""
    return ExportRequest(job, report, name, _place(job, f"export.{name}"))


def of_song(job: SeparationJob) -> Request:
    """Return the request for a job's song."""
    return Request(
        job.request.source.key,
        _place(job, MIX),
        job.request.options.bpm_range,
        *(job.id, job.request_id, job.traceparent),
    )


def of_stem(job: SeparationJob, stem: StemFile) -> Request:
    """Return the request for a job's stem."""
    return Request(stem.key, _place(job, stem.name), job_id=job.id)


def _place(job: SeparationJob, name: str) -> str:
    """Return the key of a derived file, without its suffix."""
    return f"{DERIVED}/{job.id}/{name}"


def stored(storage: Storage, job: SeparationJob) -> Mapping[str, Any]:
    """Return the stored report of a job's song.

    Raises FileNotFoundError if there is none, and ValueError if it is damaged.
    """
    data = b"".join(storage.read(report_key(of_song(job).place)))
    report: Mapping[str, Any] = json.loads(data)
    return report


def report_key(place: str) -> str:
    """Return the key of the report at `place`."""
    return f"{place}.json"


def waveform_key(place: str) -> str:
    """Return the key of the waveform at `place`."""
    return f"{place}.waveform"


def summary(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a song's report as the view of a job has it, without long series."""
    levels = report.get("levels", {})
    kept = {name: each for name, each in levels.items() if name not in _TOO_LONG}
    return {**report, "levels": kept}
