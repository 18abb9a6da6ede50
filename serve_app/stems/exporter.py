"""Exports of jobs for DJ programs, made from the stored song, stems and report."""

from contextlib import ExitStack
from pathlib import Path
from threading import Event

from serve_app.errors import Cancelled, InvalidInput
from serve_app.stems import song_track
from serve_app.stems.exports import forms, writers
from serve_app.stems.reports import ExportRequest
from serve_app.storage.fetch import fetched
from serve_app.storage.port import Storage


class Exporter:
    """Make exports of jobs in `storage`, and store them there."""

    def __init__(self, storage: Storage, working_dir: Path) -> None:
        self._storage = storage
        self._working_dir = working_dir

    def export(self, request: ExportRequest, cancelled: Event) -> None:
        """Make and store an export.

        Raises InvalidInput, with the reason, if the song can't be exported in this
        form, FileLost, StorageUnavailable, and Cancelled once `cancelled` is set.
        """
        job, form = request.job, forms.parse(request.name)
        with ExitStack() as files:
            source = job.request.source
            mix = self._fetched(files, source.key, "original")
            track = song_track.read(mix, source.filename, source, request.report)
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


def _check(cancelled: Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The export was cancelled.")
