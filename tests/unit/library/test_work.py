"""The work of each task, on the files of a directory."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile

from serve_app.errors import Cancelled, UnreadableAudio
from serve_app.jobs.job import State
from serve_app.library.errors import (
    DeletionRefused,
    FileTooLarge,
    ObjectForbidden,
    ObjectMissing,
    WrongType,
)
from serve_app.library.task import Done, LibraryJob, Task, TaskName
from serve_app.library.work import Limits, Worker
from serve_app.storage.objects import DirectoryObjects
from tests import media
from tests.library import ANALYSIS, DUPLICATE, HASH, MIX, STAGE_ID, STEM_ID

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
TIME = "2026-01-02T03:04:05.678901Z"
TYPES = frozenset({"audio/wav", "audio/mpeg", "audio/aiff", "audio/x-m4a"})
KEY = str(HASH["filepath"])
Put = Callable[[str, Path], None]


@pytest.fixture
def objects(tmp_path: Path) -> DirectoryObjects:
    return DirectoryObjects(tmp_path / "bucket")


@pytest.fixture
def worker(objects: DirectoryObjects, tmp_path: Path) -> Iterator[Worker]:
    made = Worker(objects, tmp_path / "work", limits())
    yield made
    # Whatever became of the tasks, none of their files stays.
    assert not list((tmp_path / "work").glob("*"))


def limits(**changes: Any) -> Limits:
    values = {
        "max_file_bytes": 1_000_000,
        "media_types": TYPES,
        "peaks": 1024,
        "mix_channels": 1,
        "has_audiowaveform": False,
    }
    return Limits(**{**values, **changes})


def job(name: TaskName, kwargs: dict[str, Any]) -> LibraryJob:
    return LibraryJob("j", Task(name, kwargs), State.RUNNING, NOW, NOW)


def run(worker: Worker, name: TaskName, kwargs: dict[str, Any]) -> Done:
    stages: list[tuple[str, float]] = []
    done = worker.run(job(name, kwargs), lambda *at: stages.append(at), Event())
    assert stages == sorted(stages, key=lambda at: at[1])
    return done


@pytest.fixture
def wav(objects: DirectoryObjects, tmp_path: Path) -> bytes:
    """The bytes of the file that the tasks are about."""
    path = tmp_path / "a.wav"
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (100_001, 2))
    soundfile.write(path, sound, 44_100, "PCM_16")
    objects.put(KEY, path, "audio/wav")
    return path.read_bytes()


def test_a_hash_is_that_of_the_bytes(worker: Worker, wav: bytes) -> None:
    done = run(worker, TaskName.HASH, HASH)
    assert done.fields == {"audio_hash": hashlib.sha256(wav).hexdigest()}
    assert done.duplicate_of is None


def test_anything_can_be_hashed(
    worker: Worker, objects: DirectoryObjects, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"not audio" * 200_000)
    objects.put(KEY, tmp_path / "x", "text/plain")
    wanted = hashlib.sha256(b"not audio" * 200_000).hexdigest()
    assert run(worker, TaskName.HASH, HASH).fields["audio_hash"] == wanted


def test_a_missing_object_may_come_later(worker: Worker) -> None:
    with pytest.raises(ObjectMissing, match=r"킥 드럼\.wav") as caught:
        run(worker, TaskName.HASH, HASH)
    assert caught.value.retryable


def test_an_analysis_has_its_facts_and_its_file(
    worker: Worker, objects: DirectoryObjects, wav: bytes
) -> None:
    done = run(worker, TaskName.ANALYSIS, ANALYSIS)
    key = f"waveforms/{STEM_ID}_waveform_{TIME}.json"
    assert done.fields == {
        "audio_data_hash": hashlib.sha256(wav).hexdigest(),
        "waveform_data_path": key,
        "file_size": len(wav),
        "duration": 100_001 / 44_100,
        "sample_rate": 44_100,
        "num_peaks": 4000,
    }
    stored = json.loads(b"".join(objects.read(key)))
    assert list(stored) == [
        "peaks",
        "duration",
        "sample_rate",
        "num_peaks",
        "created_at",
    ]
    assert (len(stored["peaks"]), stored["created_at"]) == (4000, TIME)
    assert b"".join(objects.read(KEY)) == wav


def test_without_a_number_there_are_as_many_peaks_as_the_operator_wants(
    worker: Worker, wav: bytes
) -> None:
    done = run(worker, TaskName.ANALYSIS, {**ANALYSIS, "num_peaks": None})
    assert done.fields["num_peaks"] == 1024


def test_an_audiowaveform_lies_beside_if_it_is_wanted(
    objects: DirectoryObjects, tmp_path: Path, wav: bytes
) -> None:
    worker = Worker(objects, tmp_path / "work", limits(has_audiowaveform=True))
    key = str(run(worker, TaskName.ANALYSIS, ANALYSIS).fields["waveform_data_path"])
    found = json.loads(b"".join(objects.read(key.replace(".json", ".dat.json"))))
    assert (found["version"], found["channels"], found["bits"]) == (2, 1, 8)
    assert len(found["data"]) == 2 * found["length"] == 8000
    assert (min(found["data"]), max(found["data"])) == (-127, 127)


@pytest.mark.parametrize("kind", ["mp3", "aiff", "m4a"])
def test_what_users_upload_is_analysed(
    worker: Worker, objects: DirectoryObjects, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "song"
    media.write_song(path, kind, seconds=1.0)
    objects.put(KEY, path, "application/octet-stream")
    found = run(worker, TaskName.ANALYSIS, ANALYSIS).fields
    assert found["duration"] == pytest.approx(1.0, abs=0.06)


def test_a_file_that_is_too_large_is_refused_unread(
    objects: DirectoryObjects, tmp_path: Path, wav: bytes
) -> None:
    worker = Worker(objects, tmp_path / "work", limits(max_file_bytes=1000))
    with pytest.raises(FileTooLarge, match="more than the limit"):
        run(worker, TaskName.ANALYSIS, ANALYSIS)


def test_a_type_that_is_not_wanted_is_refused(
    worker: Worker, objects: DirectoryObjects, tmp_path: Path
) -> None:
    path = tmp_path / "song"
    media.write_song(path, "flac", seconds=1.0)
    objects.put(KEY, path, "audio/wav")
    with pytest.raises(WrongType, match="audio/flac"):
        run(worker, TaskName.ANALYSIS, ANALYSIS)


def test_what_is_no_audio_is_refused(
    worker: Worker, objects: DirectoryObjects, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04 a zip" * 100)
    objects.put(KEY, tmp_path / "x", "audio/wav")
    with pytest.raises(UnreadableAudio):
        run(worker, TaskName.ANALYSIS, ANALYSIS)


def delete(worker: Worker, audio_hash: Any) -> Done:
    return run(worker, TaskName.DUPLICATE, {**DUPLICATE, "audio_hash": audio_hash})


def test_a_duplicate_with_the_stated_hash_goes(
    worker: Worker, objects: DirectoryObjects, wav: bytes
) -> None:
    delete(worker, hashlib.sha256(wav).hexdigest().upper())
    with pytest.raises(FileNotFoundError):
        objects.stat(KEY)


@pytest.mark.parametrize("stated", [None, "", 17, "00" * 32])
def test_another_file_stays(
    worker: Worker, objects: DirectoryObjects, wav: bytes, stated: Any
) -> None:
    with pytest.raises(DeletionRefused, match="Nothing was deleted"):
        delete(worker, stated)
    assert b"".join(objects.read(KEY)) == wav


def test_what_is_deleted_already_is_deleted(worker: Worker) -> None:
    assert delete(worker, "00" * 32).fields == {}


def test_a_mix_and_its_waveform_are_stored(
    worker: Worker, objects: DirectoryObjects, tmp_path: Path
) -> None:
    for name, rate in (("one", 44_100), ("two", 48_000)):
        path = tmp_path / "stem.wav"
        soundfile.write(path, np.full((rate, 2), 0.25), rate, "PCM_16")
        objects.put(f"audio/{name}.wav", path, "audio/wav")
    done = run(worker, TaskName.MIX, MIX)
    assert done.fields == {
        "mixed_file_path": f"mixed/{STAGE_ID}_mixed_{TIME}.wav",
        "waveform_data_path": f"waveforms/{STAGE_ID}_mixed_waveform_{TIME}.json",
        "resampled_stems": 1,
    }
    path.write_bytes(b"".join(objects.read(str(done.fields["mixed_file_path"]))))
    assert soundfile.info(path).frames == 44_100
    stored = b"".join(objects.read(str(done.fields["waveform_data_path"])))
    assert json.loads(stored)["num_peaks"] == 4000


def test_a_mix_with_a_missing_stem_is_none(
    worker: Worker, objects: DirectoryObjects, tmp_path: Path
) -> None:
    path = tmp_path / "stem.wav"
    soundfile.write(path, np.full(44_100, 0.25), 44_100, "PCM_16")
    objects.put("audio/one.wav", path, "audio/wav")
    with pytest.raises(ObjectMissing, match=r"audio/two\.wav"):
        run(worker, TaskName.MIX, MIX)


def test_a_forbidden_object_says_what_to_grant(
    objects: DirectoryObjects, worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "bucket" / "audio").symlink_to("/etc")
    with pytest.raises(ObjectForbidden, match="s3:GetObject"):
        run(worker, TaskName.HASH, {**HASH, "filepath": "audio/passwd"})


def test_a_cancelled_task_stops(worker: Worker, wav: bytes) -> None:
    cancelled = Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        worker.run(job(TaskName.ANALYSIS, ANALYSIS), lambda *_: None, cancelled)


def test_operators_tasks_do_their_work(worker: Worker, tmp_path: Path) -> None:
    left = tmp_path / "work" / "library-of-a-killed-process"
    left.mkdir(parents=True)
    assert run(worker, TaskName.HEALTH, {}).fields == {}
    run(worker, TaskName.CLEANUP, {})
    assert not left.exists()
