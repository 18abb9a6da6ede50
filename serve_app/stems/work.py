"""The work of a Separator: fetch the song of a job, separate it, store its stems."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from serve_app.audio import formats
from serve_app.errors import StorageFull, StorageUnavailable
from serve_app.filenames import titles
from serve_app.separation.engine import Engine, Share
from serve_app.stems import reports, stem_tags
from serve_app.stems.kind import STEMS
from serve_app.stems.pipeline import SeparatedSong, SongTask, separate_song
from serve_app.stems.request import Result, SeparationJob, Stage, StemFile
from serve_app.stems.stored_windows import Layout, SongWindows, folder
from serve_app.storage.fetch import fetched
from serve_app.storage.port import Storage

logger = logging.getLogger(__name__)

OnProgress = Callable[[Stage, float], None]

# The share of the progress for storing the stems.
_UPLOAD_SHARE = 0.05
_REPORT_PAUSE_SECONDS = 0.1


class Engines(Protocol):
    """The engines of a worker, by model."""

    def get(self, model: str) -> Engine:
        """Return the engine of `model`."""


class SongWorker:
    """Run jobs, each in its own working directory, which is deleted at its end.

    With `keeps_windows`, an attempt resumes where the one before ended. Tempo and key
    are written into the stems if the song's report is stored at most
    `report_patience_seconds` after the separation.
    """

    def __init__(
        self,
        engines: Engines,
        storage: Storage,
        working_dir: Path,
        keeps_windows: bool = True,
        report_patience_seconds: float = 0.0,
    ) -> None:
        self._engines = engines
        self._keeps_windows = keeps_windows
        self._report_patience_seconds = report_patience_seconds
        self._storage = storage
        self._working_dir = working_dir

    def run(
        self, job: SeparationJob, on_progress: OnProgress, cancelled: Event
    ) -> Result:
        """Separate the job's song and store its stems under `stems/{job}/{attempt}/`.

        Blocks until done; jobs may run in several threads. Raises Cancelled soon after
        `cancelled` is set, StorageUnavailable and UnreadableAudio. A failed attempt
        leaves no stems. If a disk is full, its windows are deleted too.
        """
        try:
            return self._run(job, on_progress, cancelled)
        except BaseException as err:
            self._discard(f"{STEMS}/{job.id}/{job.attempt}")
            if isinstance(err, StorageFull):
                # The next attempt may need the space of the windows.
                self._discard(folder(job.id))
            raise

    def _run(
        self, job: SeparationJob, on_progress: OnProgress, cancelled: Event
    ) -> Result:
        on_progress(Stage.FETCH, 0.0)
        prefix = f"job-{job.id}-{job.attempt}-"
        with fetched(
            self._storage, job.request.source.key, self._working_dir, prefix
        ) as source:
            engine = self._engines.get(job.request.options.model)
            task = SongTask(
                source,
                job.request.source,
                job.request.options.stems,
                formats.parse(job.request.options.format),
                source.with_name("stems"),
                Share(job.request.options.priority.turns, job.client),
            )

            def separated(done: float) -> None:
                on_progress(Stage.SEPARATE, done * (1 - _UPLOAD_SHARE))

            with self._windows(job, engine, source.parent) as windows:
                song = separate_song(engine, task, separated, cancelled, windows)
            on_progress(Stage.UPLOAD, 1 - _UPLOAD_SHARE)
            report = self._report(job, cancelled)
            stem_tags.write(song.paths, source, job.request.source, report)
            stems = self._upload(job, song)
        self._storage.delete(folder(job.id))
        facts = engine.facts
        computed = {
            "runtime": facts.runtime,
            "precision": facts.precision,
            "device": facts.device,
        }
        return Result(
            engine.spec.name,
            stems,
            song.gain,
            engine=computed,
            device_seconds=song.device_seconds,
        )

    def _report(self, job: SeparationJob, cancelled: Event) -> Mapping[str, Any] | None:
        """Return the song's report, which the Analyzer makes meanwhile, or None."""
        until = time.monotonic() + self._report_patience_seconds
        while True:
            try:
                return reports.stored(self._storage, job)
            except FileNotFoundError:
                if time.monotonic() >= until or cancelled.wait(_REPORT_PAUSE_SECONDS):
                    return None
            except ValueError as err:
                logger.warning("report damaged job=%s: %s", job.id, err)
                return None

    def _discard(self, prefix: str) -> None:
        try:
            self._storage.delete(prefix)
        except StorageUnavailable as err:
            # The sweep deletes them later.
            logger.warning("files not deleted yet prefix=%s: %s", prefix, err)

    def _windows(
        self, job: SeparationJob, engine: Engine, directory: Path
    ) -> AbstractContextManager[SongWindows | None]:
        if not self._keeps_windows:
            return nullcontext()
        spec = engine.spec
        layout = Layout(engine.identity, spec.sources, spec.sample_rate, spec.window)
        return SongWindows(self._storage, directory, job.id, job.attempt, layout)

    def _upload(self, job: SeparationJob, song: SeparatedSong) -> tuple[StemFile, ...]:
        return tuple(self._store(job, stem, path) for stem, path in song.paths.items())

    def _store(self, job: SeparationJob, stem: str, path: Path) -> StemFile:
        form = formats.parse(job.request.options.format)
        key = f"{STEMS}/{job.id}/{job.attempt}/{path.name}"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size_bytes = path.stat().st_size
        self._storage.put(key, path)
        return StemFile(
            stem,
            key,
            titles.file_name(job.request.source.filename, f"_{stem}{path.suffix}"),
            size_bytes,
            digest,
            form.media_type,
        )
