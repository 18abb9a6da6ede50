"""A job from storage to storage."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import numpy as np
import pytest

from serve_app.audio.decode import read_blocks
from serve_app.audio.formats import FORMATS
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import (
    Cancelled,
    FileLost,
    StorageFull,
    StorageUnavailable,
    UnreadableAudio,
)
from serve_app.stems.exports import tagging, tags
from serve_app.stems.exports.tags import Cover, Tags
from serve_app.stems.pipeline import SongTask, separate_song
from serve_app.stems.request import SeparationJob, Stage
from serve_app.stems.work import SongWorker
from serve_app.storage.local import LocalStorage
from tests import disks, media
from tests.jobs import asking, new_job, with_audio
from tests.networks import OneEngine, sharing_engine
from tests.unit.stems.exports.songs import PNG


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
    assert result.device_seconds > 0
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


REPORT = {
    **{"bpm": 127.95, "bpm_confidence": 0.9, "meter": 4, "beats": [], "downbeats": []},
    **{"grid": None, "tempo_segments": [], "sections": []},
    **{"key": "F# minor", "key_confidence": 0.9, "camelot": "11A", "open_key": "4m"},
}


@pytest.fixture
def tagged_job(
    tmp_path: Path, storage: LocalStorage, job: SeparationJob
) -> SeparationJob:
    """A job whose song has tags."""
    cover = Cover("image/png", PNG)
    tagging.write(
        tmp_path / "song.wav",
        tmp_path / "tagged.wav",
        Tags(title="Blue", artist="Ä", album="Al", date="1999", genre="G", cover=cover),
    )
    storage.put("originals/a", tmp_path / "tagged.wav")
    return job


def stem_of(
    storage: LocalStorage,
    tmp_path: Path,
    job: SeparationJob,
    patience_seconds: float = 0.0,
) -> tuple[bytes, Path]:
    """Run a job; return its first stem, whose manifest is right, also as a file."""
    with sharing_engine() as engine:
        worker = SongWorker(
            *(OneEngine(engine), storage, tmp_path / "work"),
            report_patience_seconds=patience_seconds,
        )
        stem = worker.run(job, lambda *seen: None, Event()).stems[0]
    data = b"".join(storage.read(stem.key))
    assert stem.size_bytes == len(data)
    assert stem.sha256 == hashlib.sha256(data).hexdigest()
    path = tmp_path / Path(stem.key).name
    path.write_bytes(data)
    return data, path


def keep_report(tmp_path: Path, storage: LocalStorage) -> None:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    storage.put("derived/a/mix.json", tmp_path / "report.json")


@pytest.mark.parametrize("name", FORMATS)
def test_stems_have_the_tags_of_their_song_and_the_sound_of_any(
    tmp_path: Path, storage: LocalStorage, tagged_job: SeparationJob, name: str
) -> None:
    source, options = tagged_job.request.source, tagged_job.request.options
    wanted = asking(tagged_job, options=replace(options, format=name))
    _, path = stem_of(storage, tmp_path, wanted)
    found = tags.read(path)
    assert (found.title, found.artist, found.album) == ("Blue (Drums)", "Ä", "Al")
    assert (found.genre, found.year) == ("G", "1999")
    assert found.cover is not None
    with sharing_engine() as engine:
        task = SongTask(
            *(tmp_path / "song.wav", source, ("drums",)),
            *(FORMATS[name], tmp_path / "plain"),
        )
        plain = separate_song(engine, task, lambda _: None, Event()).paths["drums"]
    for ours, theirs in zip(read_blocks(path), read_blocks(plain), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_tempo_and_key_are_in_stems_that_end_after_the_analysis(
    tmp_path: Path, storage: LocalStorage, tagged_job: SeparationJob
) -> None:
    assert b"TBPM" not in stem_of(storage, tmp_path, tagged_job)[0]
    keep_report(tmp_path, storage)
    data, _ = stem_of(storage, tmp_path, tagged_job)
    assert b"TBPM" in data
    assert b"127.95" in data
    assert b"F#m" in data


def test_an_analysis_that_ends_a_little_later_is_waited_for(
    tmp_path: Path, storage: LocalStorage, tagged_job: SeparationJob
) -> None:
    timer = Timer(0.3, keep_report, (tmp_path, storage))
    timer.start()
    data, _ = stem_of(storage, tmp_path, tagged_job, patience_seconds=30.0)
    timer.join()
    assert b"TBPM" in data


def test_a_damaged_report_or_tags_that_cannot_be_read_cost_no_stem(
    tmp_path: Path,
    storage: LocalStorage,
    tagged_job: SeparationJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "report.json").write_text('{"bpm": 12')
    storage.put("derived/a/mix.json", tmp_path / "report.json")
    assert b"Blue" in stem_of(storage, tmp_path, tagged_job)[0]

    def unreadable(_: Path) -> Tags:
        raise UnreadableAudio("There is no sound in this file.")

    monkeypatch.setattr(tags, "read", unreadable)
    assert b"Blue" not in stem_of(storage, tmp_path, tagged_job)[0]


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
    kept = sum(file.key.endswith(".npy") for file in storage.list("parts/a"))
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
    assert result == replace(calm, device_seconds=result.device_seconds)
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
