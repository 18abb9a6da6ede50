"""Songs and stems in the forms of DJ programs, made of what is stored of a job."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

from serve_app.audio.decode import opened
from serve_app.errors import Cancelled, InvalidInput
from serve_app.stems.exports import forms, tags, writers
from serve_app.stems.exports.codec_facts import codec_facts
from serve_app.stems.exports.track import Section, Segment, Track
from serve_app.stems.reports import ExportRequest
from serve_app.stems.request import SeparationJob
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
            mix = self._fetched(files, job.request.source.key, "original")
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


def _track(job: SeparationJob, report: Mapping[str, Any], path: Path) -> Track:
    with opened(path) as song:
        codec = song.codec
    has_pulse = report["bpm_confidence"] > 0
    has_pitch = report["key_confidence"] > 0
    return Track(
        location=job.request.source.filename,
        samples=job.request.source.samples,
        sample_rate=job.request.source.sample_rate,
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
        codec=codec_facts(path, codec, job.request.source.sample_rate),
        size_bytes=job.request.source.size_bytes,
    )


def _segments(report: Mapping[str, Any]) -> list[Segment]:
    """Return the grid: one segment of a constant tempo, or those that there are."""
    meter = f"{report['meter']}/4"
    if (grid := report["grid"]) is not None:
        return [Segment(grid["first_downbeat_seconds"], grid["bpm"], meter)]
    segments = []
    for found in report["tempo_segments"]:
        start, end = found["start_seconds"], found["end_seconds"]
        downbeats = [beat for beat in report["downbeats"] if start <= beat < end]
        segments.append(Segment((downbeats or [start])[0], found["bpm"], meter))
    return segments


def _check(cancelled: Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The export is not wanted any more.")
