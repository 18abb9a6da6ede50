"""A job from storage to storage."""

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import Cancelled, FileLost, StorageFull, StorageUnavailable
from serve_app.stems.request import SeparationJob, Stage
from serve_app.stems.work import SongWorker
from serve_app.storage.local import LocalStorage
from tests import disks, media
from tests.jobs import asking, new_job, with_audio
from tests.networks import OneEngine, sharing_engine


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


@pytest.fixture
def job(tmp_path: Path, storage: LocalStorage) -> SeparationJob:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=2.0)
    facts = measure(song, AudioLimits(60))
    storage.put("originals/a", song)
    job = new_job(attempt=7)
    return with_audio(job, facts)


def test_stems_are_stored_under_their_attempt_as_the_manifest_says(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob
) -> None:
    stages: list[tuple[Stage, float]] = []
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        result = worker.run(job, lambda *seen: stages.append(seen), Event())
    assert [stem.name for stem in result.stems] == ["drums", "vocals"]
    for stem in result.stems:
        stored = b"".join(storage.read(stem.key))
        assert stem.key == f"stems/a/7/{stem.name}.wav"
        assert stem.filename == f"Söng 'one'_{stem.name}.wav"
        assert stem.size_bytes == len(stored)
        assert stem.sha256 == hashlib.sha256(stored).hexdigest()
        assert stem.media_type == "audio/wav"
    assert result.gain == 1.0
    assert list((tmp_path / "work").iterdir()) == []
    assert stages[0] == (Stage.FETCH, 0.0)
    assert stages[-1][0] is Stage.UPLOAD
    fractions = [fraction for _, fraction in stages]
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Mr. Brightside", "Mr. Brightside_vocals.wav"),
        ('Blue Monday (12" Mix).mp3', "Blue Monday (12_ Mix)_vocals.wav"),
        ("../../etc/passwd", "_.._etc_passwd_vocals.wav"),
        ("NUL", "NUL_vocals.wav"),
        ("음" * 255, "음" * 76 + "_vocals.wav"),
    ],
)
def test_stems_have_names_that_any_system_takes(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob, title: str, name: str
) -> None:
    job = asking(job, source=replace(job.request.source, filename=title))
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        result = worker.run(job, lambda *seen: None, Event())
    assert result.stems[1].filename == name


def test_a_cancelled_job_stores_nothing_and_leaves_nothing(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob
) -> None:
    cancelled = Event()
    cancelled.set()
    with sharing_engine() as engine, ExitStack() as stack:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        stack.enter_context(pytest.raises(Cancelled))
        worker.run(job, lambda *seen: None, cancelled)
    assert list(storage.list("stems")) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_an_attempt_goes_on_where_the_one_before_was_killed(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob
) -> None:
    """It is spared the first one's windows, and its stems are those of a calm run."""

    class Killed(BaseException):
        """Nothing is cleaned up in storage after it."""

    def until_half(stage: Stage, fraction: float) -> None:
        if fraction > 0.5:
            raise Killed

    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        calm = worker.run(job, lambda *seen: None, Event())
        all_windows = engine.describe()["windows_served"]
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        with pytest.raises(Killed):
            worker.run(job.evolve(attempt=8), until_half, Event())
    kept = len(list(storage.list("parts/a")))
    assert kept > 1
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        result = worker.run(job.evolve(attempt=9), lambda *seen: None, Event())
        assert engine.describe()["windows_served"] == all_windows - kept
    assert [stem.sha256 for stem in result.stems] == [
        stem.sha256 for stem in calm.stems
    ]
    assert list(storage.list("parts")) == []


def test_nothing_is_kept_where_that_is_not_wanted(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob
) -> None:
    seen: list[str] = []
    with sharing_engine() as engine:
        worker = SongWorker(
            OneEngine(engine), storage, tmp_path / "work", keeps_windows=False
        )
        worker.run(
            job,
            lambda *_: seen.extend(file.key for file in storage.list("parts")),
            Event(),
        )
    assert seen == []


def test_a_missing_original_is_the_stores_fault(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob
) -> None:
    storage.delete("originals/a")
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        with pytest.raises(FileLost, match="originals/a"):
            worker.run(job, lambda *seen: None, Event())


def test_a_full_disk_is_away_and_an_attempt_leaves_nothing_on_it(
    tmp_path: Path, job: SeparationJob, small_disk: disks.SmallDisk
) -> None:
    """Wherever the room ends; with room again the stems are those of a calm run."""
    storage, work = LocalStorage(small_disk.path / "files"), small_disk.path / "work"
    storage.put("originals/a", tmp_path / "song.wav")
    step_bytes, failures = 256 * 1024, 0
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, work)
        calm = worker.run(job, lambda *seen: None, Event())
        storage.delete("stems")
        for room in range(0, small_disk.free_bytes, step_bytes):
            with small_disk.filled(room):
                try:
                    result = worker.run(job, lambda *seen: None, Event())
                    break
                except StorageFull:
                    failures += 1
            assert [file.key for file in storage.list("")] == ["originals/a"]
            assert list(work.iterdir()) == []
            assert disks.open_files(small_disk.path) == []
    assert result == calm
    assert failures > 3, "the disk was not full"


def test_stems_of_an_attempt_that_failed_go_at_once(
    tmp_path: Path,
    storage: LocalStorage,
    job: SeparationJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its windows stay, for the next one, unless the disk is full."""
    put = storage.put

    def fail_at_the_second(key: str, path: Path, *, synced: bool = True) -> None:
        if key.endswith("vocals.wav"):
            raise StorageUnavailable("It is away.")
        put(key, path, synced=synced)

    monkeypatch.setattr(storage, "put", fail_at_the_second)
    with sharing_engine() as engine:
        worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
        with pytest.raises(StorageUnavailable):
            worker.run(job, lambda *seen: None, Event())
    assert list(storage.list("stems")) == []
    assert list(storage.list("parts/a")) != []
