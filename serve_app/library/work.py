"""The work of the library's tasks: blocking, with files as streams."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from serve_app.audio import media_types
from serve_app.audio.mono import MonoSong
from serve_app.errors import Cancelled, UnreadableAudio
from serve_app.library import audiowaveform, keys, peaks
from serve_app.library.errors import (
    DeletionRefused,
    FileTooLarge,
    ObjectForbidden,
    ObjectMissing,
    WrongType,
)
from serve_app.library.known_files import KnownFiles
from serve_app.library.mix import Mixer
from serve_app.library.task import Done, LibraryJob, Stage, Task, TaskName
from serve_app.storage.objects import ObjectFacts, Objects
from serve_app.storage.working_directory import sweep, working_directory

MIX_PEAKS = 4000
_WAV, _JSON = "audio/wav", "application/json"
_PREFIX = "library-"

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Limits:
    """What is analysed, and how: the operator's settings."""

    max_file_bytes: int
    media_types: frozenset[str]
    peaks: int
    mix_channels: int
    has_audiowaveform: bool


class Worker:
    """Does the work of tasks; thread-safe. `known` finds duplicates, if it is given.

    `run` raises Cancelled soon after its job's event is set.
    """

    def __init__(
        self,
        objects: Objects,
        working_dir: Path,
        limits: Limits,
        known: KnownFiles | None = None,
    ) -> None:
        self._objects = objects
        self._working_dir = working_dir
        self._limits = limits
        self._known = known
        self._works: Mapping[str, Callable[[_Work], Done]] = {
            TaskName.HASH: self._hash,
            TaskName.DUPLICATE: self._delete,
            TaskName.ANALYSIS: self._analyze,
            TaskName.MIX: self._mix,
            TaskName.CLEANUP: self._clean_up,
            TaskName.HEALTH: lambda _: Done(),
        }

    def run(self, job: LibraryJob, report: Report, cancelled: Event) -> Done:
        """Do the work of a job, and return what it found."""
        began = time.monotonic()
        done = self._works[job.request.name](_Work(job, report, cancelled))
        return replace(done, seconds=round(time.monotonic() - began, 3))

    def _hash(self, work: "_Work") -> Done:
        work.report(Stage.FETCH, 0.0)
        found = self._sha256(work, work.task.filepath)
        return Done({"audio_hash": found}, duplicate_of=self._earlier(work.task, found))

    def _delete(self, work: "_Work") -> Done:
        """Delete an object that has the stated hash; one that is gone is deleted."""
        key, stated = work.task.filepath, work.task.kwargs.get("audio_hash")
        if not isinstance(stated, str) or not stated:
            raise DeletionRefused(
                "Nothing was deleted: the task has no audio_hash to compare the file "
                "with. Send the hash of the duplicate."
            )
        work.report(Stage.FETCH, 0.0)
        try:
            before = self._stat(key)
            if self._sha256(work, key) != stated.lower():
                raise DeletionRefused(
                    "Nothing was deleted: the file does not have the stated audio_hash."
                )
            if self._stat(key) != before:
                raise DeletionRefused(
                    "Nothing was deleted: the file was replaced meanwhile."
                )
        except ObjectMissing:
            return Done()
        work.report(Stage.WORK, 0.9)
        with _translated(key):
            self._objects.delete(key)
        return Done()

    def _analyze(self, work: "_Work") -> Done:
        work.report(Stage.FETCH, 0.0)
        self._check_size(work.task.filepath)
        with working_directory(self._working_dir, _PREFIX) as folder:
            path = folder / "original"
            audio_hash = self._fetch(work, work.task.filepath, path)
            if earlier := self._earlier(work.task, audio_hash):
                return Done({"audio_data_hash": audio_hash}, duplicate_of=earlier)
            work.report(Stage.WORK, 0.3)
            number = work.task.kwargs.get("num_peaks") or self._limits.peaks
            found = peaks.of_file(path, number, work.check, self._check_type)
            work.report(Stage.UPLOAD, 0.9)
            now = work.job.created_at
            key = keys.waveform(work.task.subject, now)
            self._put_waveform(key, found, work, folder)
            size_bytes = path.stat().st_size
        return Done(
            {
                "audio_data_hash": audio_hash,
                "waveform_data_path": key,
                "file_size": size_bytes,
                "duration": found.duration_seconds,
                "sample_rate": found.sample_rate,
                "num_peaks": len(found.peaks),
            }
        )

    def _mix(self, work: "_Work") -> Done:
        paths, now = work.task.stem_paths, work.job.created_at
        with working_directory(self._working_dir, _PREFIX) as folder:
            mixer = Mixer(folder / "sum", self._limits.mix_channels, work.check)
            for number, key in enumerate(paths):
                work.report(Stage.FETCH, 0.8 * number / len(paths))
                stem = folder / "stem"
                self._fetch(work, key, stem)
                with _named(key):
                    mixer.add(stem)
                stem.unlink()
            work.report(Stage.WORK, 0.8)
            mixed = mixer.write(folder / "mix.wav", MIX_PEAKS)
            work.report(Stage.UPLOAD, 0.9)
            key = keys.mix(work.task.subject, now)
            self._put(key, folder / "mix.wav", _WAV)
            waveform_key = keys.mix_waveform(work.task.subject, now)
            self._put_waveform(waveform_key, mixed.found, work, folder)
        return Done(
            {
                "mixed_file_path": key,
                "waveform_data_path": waveform_key,
                "resampled_stems": mixed.resampled_stems,
            }
        )

    def _clean_up(self, work: "_Work") -> Done:
        """Delete the working files of killed processes; those of running ones stay."""
        sweep(self._working_dir)
        return Done()

    def _earlier(self, task: Task, sha256: str) -> Mapping[str, Any] | None:
        """Return the user's earlier file with this content, if duplicates are found."""
        if self._known is None or not isinstance(task.kwargs.get("userId"), str):
            return None
        return self._known.earlier(task, sha256)

    def _check_size(self, key: str) -> None:
        size_bytes = self._stat(key).size_bytes
        if size_bytes > self._limits.max_file_bytes:
            raise FileTooLarge(
                f"The file has {size_bytes} bytes, more than the limit of "
                f"{self._limits.max_file_bytes}."
            )

    def _check_type(self, song: MonoSong) -> None:
        found = media_types.of(song.container)
        if not found & self._limits.media_types:
            allowed = ", ".join(sorted(self._limits.media_types))
            raise WrongType(
                f"The file is {min(found, key=len, default='of an unknown type')}. "
                f"Analysed are {allowed}."
            )

    def _stat(self, key: str) -> ObjectFacts:
        with _translated(key):
            return self._objects.stat(key)

    def _sha256(self, work: "_Work", key: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._read(work, key):
            digest.update(chunk)
        return digest.hexdigest()

    def _fetch(self, work: "_Work", key: str, path: Path) -> str:
        """Write an object to `path`; return the SHA-256 of its bytes."""
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for chunk in self._read(work, key):
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def _read(self, work: "_Work", key: str) -> Iterator[bytes]:
        with _translated(key):
            for chunk in self._objects.read(key):
                work.check()
                yield chunk

    def _put_waveform(
        self, key: str, found: peaks.Found, work: "_Work", folder: Path
    ) -> None:
        path = folder / "waveform.json"
        facts = (found.peaks, found.samples, found.sample_rate)
        content = peaks.waveform(*facts, work.job.created_at)
        path.write_text(json.dumps(content))
        self._put(key, path, _JSON)
        if self._limits.has_audiowaveform:
            path.write_text(json.dumps(audiowaveform.of(found)))
            self._put(f"{key.removesuffix('.json')}.dat.json", path, _JSON)

    def _put(self, key: str, path: Path, media_type: str) -> None:
        with _translated(key):
            self._objects.put(key, path, media_type)


@dataclass(frozen=True)
class _Work:
    """An attempt at a job."""

    job: LibraryJob
    report: Report
    cancelled: Event

    @property
    def task(self) -> Task:
        return self.job.request

    def check(self) -> None:
        """Raise Cancelled if the attempt was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled("The task was cancelled.")


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Name the stem in the error of one that can't be read."""
    try:
        yield
    except UnreadableAudio as err:
        raise UnreadableAudio(f"{key}: {err.detail}") from err


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as err:
        raise ObjectMissing(
            f"There is no file {key} in the bucket. Upload it, and send the task again."
        ) from err
    except PermissionError as err:
        raise ObjectForbidden(
            f"The server has no access to {key} in the bucket. In S3 it needs "
            "s3:GetObject, s3:PutObject and s3:DeleteObject; in a directory the file "
            "must be no link."
        ) from err
