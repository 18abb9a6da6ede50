"""The track of a song, from its file and its report, for exports and stems' tags."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from serve_app.audio.decode import opened
from serve_app.stems.exports import tags
from serve_app.stems.exports.codec_facts import codec_facts
from serve_app.stems.exports.track import Section, Segment, Track


class Facts(Protocol):
    """The length of a song."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def samples(self) -> int: ...


def read(
    path: Path, location: str, facts: Facts, report: Mapping[str, Any] | None = None
) -> Track:
    """Return the track of the song at `path`, which the DJ program has at `location`.

    Without a report it has no tempo and no key. Raises UnreadableAudio.
    """
    with opened(path) as song:
        codec = song.codec
    return Track(
        location=location,
        samples=facts.samples,
        sample_rate=facts.sample_rate,
        tags=tags.read(path),
        codec=codec_facts(path, codec, facts.sample_rate),
        size_bytes=path.stat().st_size,
        **({} if report is None else _analysis(report)),
    )


def _analysis(report: Mapping[str, Any]) -> dict[str, Any]:
    has_pulse = report["bpm_confidence"] > 0
    has_pitch = report["key_confidence"] > 0
    return {
        "bpm": report["bpm"] if has_pulse else 0.0,
        "key": report["key"] if has_pitch else "",
        "camelot": report["camelot"] if has_pitch else "",
        "open_key": report["open_key"] if has_pitch else "",
        "beats": report["beats"],
        "downbeats": report["downbeats"],
        "segments": _segments(report),
        "sections": [
            Section(section["start_seconds"], section["label"])
            for section in report["sections"]
        ],
    }


def _segments(report: Mapping[str, Any]) -> list[Segment]:
    """Return the beat grid: one segment for a constant tempo, or all segments."""
    meter = report["meter"]
    if (grid := report["grid"]) is not None:
        first, bpm = grid["first_beat_seconds"], grid["bpm"]
        beats_before = round((grid["first_downbeat_seconds"] - first) * bpm / 60)
        return [Segment(first, bpm, f"{meter}/4", -beats_before % meter + 1)]
    beats = report["beats"]
    numbers = _numbers(beats, report["downbeats"], meter)
    segments = []
    for found in report["tempo_segments"]:
        # With beats at half speed, a segment may start between two of them.
        place = bisect_left(beats, found["start_seconds"])
        if place < len(beats) and beats[place] < found["end_seconds"]:
            number = numbers[place]
            segments.append(Segment(beats[place], found["bpm"], f"{meter}/4", number))
    return segments


def _numbers(
    beats: Sequence[float], downbeats: Sequence[float], meter: int
) -> list[int]:
    """Return each beat's number in its bar, from 1, also before the first downbeat."""
    firsts = set(downbeats)
    start = next((place for place, beat in enumerate(beats) if beat in firsts), 0)
    numbers = []
    for place, beat in enumerate(beats):
        if beat in firsts:
            start = place
        numbers.append((place - start) % meter + 1)
    return numbers
