"""Waveforms and reports in the formats that clients request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serve_app.analysis import waveform_forms as forms
from serve_app.analysis.waveform import Pixels, Span, Waveform
from serve_app.analysis.waveform_forms import (
    LEAST_PIXELS_PER_SECOND,
    MOST_PEAKS,
    MOST_PIXELS_PER_SECOND,
    check,
)
from serve_app.pictures import report as drawn_report
from serve_app.pictures import waveform as drawn_waveform
from serve_app.pictures.canvas import HIGHEST, WIDEST

__all__ = [
    "HIGHEST",
    "LEAST_PIXELS_PER_SECOND",
    "MEDIA_TYPES",
    "MOST_PEAKS",
    "MOST_PIXELS_PER_SECOND",
    "SMALLEST_REPORT",
    "SMALLEST_WAVEFORM",
    "WIDEST",
    "Look",
    "ReportLook",
    "check",
    "exact_span",
    "report",
    "waveform",
]

SMALLEST_REPORT, SMALLEST_WAVEFORM = drawn_report.SMALLEST, drawn_waveform.SMALLEST
MEDIA_TYPES = {
    "json": "application/json",
    "peaks": "application/json",
    "library": "application/json",
    "dat": "application/octet-stream",
    "png": "image/png",
    "svg": "image/svg+xml",
}
_PICTURES = ("png", "svg")
_LIBRARY_PEAKS = 1024


@dataclass(frozen=True)
class Look:
    """The format and size of a waveform; see `waveform_forms` for the limits."""

    format: str = "json"
    pixels_per_second: float | None = None
    num_peaks: int | None = None
    bits: int = 16
    bands: int = 1
    start: float = 0.0
    end: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class ReportLook:
    """The picture of a report: of the song with this title, or of its `stem`."""

    title: str
    format: str
    stem: str | None = None
    width: int | None = None
    height: int | None = None


def exact_span(found: Waveform, look: Look) -> Span | None:
    """Return the span whose peaks must be read from the song itself.

    None means that the stored waveform is exact enough.
    """
    is_library = look.format == "library"
    if not is_library and (look.format in _PICTURES or look.num_peaks is None):
        return None
    if look.bands != 1:
        return None
    span = _span(found, look)
    # The stored waveform has 16 bits, too few for four decimals of the loudest peak.
    return span if is_library or not found.is_exact(span) else None


def waveform(
    found: Waveform, look: Look, made_at: datetime, exact: Pixels | None = None
) -> bytes:
    """Return the file of a waveform, with `exact` pixels if they are given.

    Raises InvalidInput for an invalid look.
    """
    if look.format in _PICTURES:
        return _drawn(found, look)
    pixels = found.pixels(_span(found, look), look.bands) if exact is None else exact
    first, end = _excerpt(found, look)
    seconds = (end - first) / found.sample_rate
    match look.format:
        case "dat":
            return b"".join(forms.dat(pixels, look.bits))
        case "peaks":
            return b"".join(forms.wavesurfer(pixels, look.bits, seconds))
        case "library":
            return json.dumps(forms.library(pixels, seconds, made_at)).encode()
        case _:
            return b"".join(forms.audiowaveform_json(pixels, look.bits))


def _excerpt(found: Waveform, look: Look) -> tuple[int, int]:
    return forms.part(found.sample_rate, found.samples, look.start, look.end)


def _span(found: Waveform, look: Look) -> Span:
    excerpt = _excerpt(found, look)
    if look.format == "library" and look.pixels_per_second is None:
        peaks = _LIBRARY_PEAKS if look.num_peaks is None else look.num_peaks
        return forms.library_span(excerpt, peaks)
    return forms.span(
        found.sample_rate,
        excerpt,
        pixels_per_second=look.pixels_per_second,
        num_peaks=look.num_peaks,
    )


def _drawn(found: Waveform, look: Look) -> bytes:
    width = drawn_waveform.DEFAULT_WIDTH if look.width is None else look.width
    height = drawn_waveform.DEFAULT_HEIGHT if look.height is None else look.height
    values = _columns(found, _excerpt(found, look), width, look.bands)
    return drawn_waveform.draw(values, look.format, width, height)


def _columns(
    found: Waveform, excerpt: tuple[int, int], width: int, bands: int
) -> drawn_waveform.Values:
    """Return the values of an excerpt, about one for each pixel of `width`."""
    columns = min(max(width, 1), forms.MOST_PEAKS)
    span = forms.span(found.sample_rate, excerpt, num_peaks=columns)
    return found.pixels(span, bands).values


def report(facts: Mapping[str, Any], found: Waveform, look: ReportLook) -> bytes:
    """Return a picture of the report of a song or a stem.

    Raises InvalidInput for an invalid size.
    """
    width = drawn_report.DEFAULT_WIDTH if look.width is None else look.width
    height = drawn_report.DEFAULT_HEIGHT if look.height is None else look.height
    drawn = drawn_report.Report(
        title=look.title,
        stem=look.stem,
        duration_seconds=facts["duration"],
        waveform=_columns(found, (0, found.samples), width, bands=3),
        bpm=facts["bpm"] if facts.get("bpm_confidence") else None,
        key=facts["key"] if facts.get("key_confidence") else None,
        facts=_facts(facts["loudness"]),
        beats=facts.get("beats", ()),
        downbeats=facts.get("downbeats", ()),
        keys=[(*_times(key), key["key"]) for key in facts.get("keys", ())],
        sections=[
            (*_times(section), section["label"], section["energy"])
            for section in facts.get("sections", ())
        ],
        loudness=facts["levels"]["energy_dbfs"],
    )
    return drawn_report.draw(drawn, look.format, width, height)


def _times(section: Mapping[str, Any]) -> tuple[float, float]:
    return section["start_seconds"], section["end_seconds"]


def _facts(loudness: Mapping[str, float | None]) -> list[str]:
    named = (
        ("{:.1f} LUFS", loudness["integrated_lufs"]),
        ("{:.1f} dBTP", loudness["true_peak_dbtp"]),
        ("range {:.1f} LU", loudness["range_lu"]),
    )
    return [text.format(value) for text, value in named if value is not None]
