"""Exports made from a job's stored files and its song's report."""

from pathlib import Path
from threading import Event
from typing import Any
from xml.etree import ElementTree

import pytest

from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.stems.exporter import Exporter
from serve_app.stems.reports import ExportRequest
from serve_app.storage.local import LocalStorage
from tests import media
from tests.jobs import new_job, with_audio

REPORT = {
    "bpm": 120.0,
    "bpm_confidence": 0.9,
    "key": "C major",
    "key_confidence": 0.9,
    "camelot": "8B",
    "open_key": "1d",
    "meter": 4,
    "beats": [],
    "downbeats": [],
    "grid": None,
    "tempo_segments": [],
    "sections": [],
}


def grid(first: float, downbeat: float) -> dict[str, Any]:
    told = {"bpm": 120.0, "first_beat_seconds": first, "drift_ms": 0.0}
    return {"grid": {**told, "first_downbeat_seconds": downbeat}}


def tempos(tmp_path: Path, **report: Any) -> list[tuple[str, ...]]:
    """Return the grid that rekordbox is told of a song with such a report."""
    storage = LocalStorage(tmp_path / "files")
    media.write_song(tmp_path / "song.wav", seconds=0.5)
    job = with_audio(new_job(), measure(tmp_path / "song.wav", AudioLimits(60)))
    storage.put(job.request.source.key, tmp_path / "song.wav")
    request = ExportRequest(job, {**REPORT, **report}, "rekordbox", "out")
    Exporter(storage, tmp_path / "work").export(request, Event())
    root = ElementTree.fromstring(b"".join(storage.read("out")))  # noqa: S314  ours
    names = ("Inizio", "Bpm", "Metro", "Battito")
    return [tuple(map(str, map(node.get, names))) for node in root.iter("TEMPO")]


@pytest.mark.parametrize(
    ("first", "downbeat", "beat"),
    [(0.0, 0.0, "1"), (0.1, 0.6, "4"), (0.1, 1.6, "2"), (0.1, 4.1, "1")],
)
def test_a_grid_begins_with_its_first_beat(
    tmp_path: Path, first: float, downbeat: float, beat: str
) -> None:
    """Also with one that does not begin a bar."""
    assert tempos(tmp_path, **grid(first, downbeat)) == [
        (f"{first:.3f}", "120.00", "4/4", beat)
    ]


def test_a_tempo_changes_on_the_beat_where_it_does(tmp_path: Path) -> None:
    """In the middle of a bar as well; beats before the first bar count down to it."""
    slow = [round(0.1 + 0.6 * beat, 3) for beat in range(11)]
    fast = [round(6.1 + 0.4 * beat, 3) for beat in range(1, 20)]
    beats = slow + fast
    told = tempos(
        tmp_path,
        beats=beats,
        downbeats=beats[3::4],
        tempo_segments=[
            {"start_seconds": 0.1, "end_seconds": 6.1, "bpm": 100.0},
            {"start_seconds": 6.1, "end_seconds": 13.7, "bpm": 150.0},
        ],
    )
    assert told == [("0.100", "100.00", "4/4", "2"), ("6.100", "150.00", "4/4", "4")]


def test_a_segment_that_begins_between_beats_is_told_from_its_first(
    tmp_path: Path,
) -> None:
    """At half the speed every second beat is none."""
    segment = {"start_seconds": 0.3, "end_seconds": 8.0, "bpm": 60.0}
    beats = [-0.2, 0.8, 1.8, 2.8]
    told = tempos(
        tmp_path, beats=beats, downbeats=[-0.2], meter=2, tempo_segments=[segment]
    )
    assert told == [("0.800", "60.00", "2/4", "2")]
