"""Songs and stems in the forms of DJ programs, made of what is stored of a job."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

from serve_app.audio.decode import opened
from serve_app.errors import Cancelled, InvalidInput
from serve_app.exports import forms, tags, writers
from serve_app.exports.codec_facts import codec_facts
from serve_app.exports.track import Section, Segment, Track
from serve_app.jobs.job import Job
from serve_app.reports import ExportRequest
from serve_app.storage.fetch import fetched
from serve_app.storage.port import Storage


class Exporter:
    """Makes exports of jobs in `storage`, and keeps them there."""

    def __init__(self, storage: Storage, working_dir: Path) -> None:
        self._storage = storage
        self._working_dir = working_dir

    def export(self, request: ExportRequest, cancelled: Event) -> None:
        """Store an export; InvalidInput, which says why, where there can be none.

        Raises FileLost, StorageUnavailable, and Cancelled once `cancelled` is set.
        """
        job, form = request.job, forms.parse(request.name)
        with ExitStack() as files:
            mix = self._fetched(files, job.source.key, "original")
            track = _track(job, request.report, mix)
            stems: dict[str, Path] = {}
            if form.needs_stems and job.result is not None:
                for stem in job.result.stems:
                    _check(cancelled)
                    stems[stem.name] = self._fetched(files, stem.key, stem.name)
            gain = 1.0 if job.result is None else job.result.gain
            target = mix.parent / "export"
            try:
                song = writers.Song(track, mix, stems, gain)
                writers.write(form.name, song, target)
            except ValueError as err:
                raise InvalidInput(str(err)) from err
            _check(cancelled)
            self._storage.put(request.key, target, synced=False)

    def _fetched(self, files: ExitStack, key: str, name: str) -> Path:
        directory = self._working_dir
        return files.enter_context(fetched(self._storage, key, directory, f"{name}-"))


def _track(job: Job, report: Mapping[str, Any], path: Path) -> Track:
    with opened(path) as song:
        codec = song.codec
    has_pulse = report["bpm_confidence"] > 0
    has_pitch = report["key_confidence"] > 0
    return Track(
        location=job.source.filename,
        samples=job.source.samples,
        sample_rate=job.source.sample_rate,
        bpm=report["bpm"] if has_pulse else 0.0,
        key=report["key"] if has_pitch else "",
        camelot=report["camelot"] if has_pitch else "",
        open_key=report["open_key"] if has_pitch else "",
        beats=report["beats"],
        downbeats=report["downbeats"],
        segments=_segments(report),
        sections=[
            Section(section["start_seconds"], section["label"])
            for section in report["sections"]
        ],
        tags=tags.read(path),
        codec=codec_facts(path, codec, job.source.sample_rate),
        size_bytes=job.source.size_bytes,
    )


def _segments(report: Mapping[str, Any]) -> list[Segment]:
    """Return the grid: one segment of a constant tempo, or those that there are."""
    meter = report["meter"]
    if (grid := report["grid"]) is not None:
        first, bpm = grid["first_beat_seconds"], grid["bpm"]
        beats_before = round((grid["first_downbeat_seconds"] - first) * bpm / 60)
        return [Segment(first, bpm, f"{meter}/4", -beats_before % meter + 1)]
    beats = report["beats"]
    numbers = _numbers(beats, report["downbeats"], meter)
    segments = []
    for found in report["tempo_segments"]:
        # At half the speed a segment may begin between two beats.
        place = bisect_left(beats, found["start_seconds"])
        if place < len(beats) and beats[place] < found["end_seconds"]:
            number = numbers[place]
            segments.append(Segment(beats[place], found["bpm"], f"{meter}/4", number))
    return segments


def _numbers(
    beats: Sequence[float], downbeats: Sequence[float], meter: int
) -> list[int]:
    """Return each beat's number in its bar, from 1; those before the first bar too."""
    firsts = set(downbeats)
    start = next((place for place, beat in enumerate(beats) if beat in firsts), 0)
    numbers = []
    for place, beat in enumerate(beats):
        if beat in firsts:
            start = place
        numbers.append((place - start) % meter + 1)
    return numbers


def _check(cancelled: Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The export is not wanted any more.")
