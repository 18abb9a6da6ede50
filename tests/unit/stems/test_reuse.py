"""Stems of an earlier job are reused for the same song and options."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serve_app.errors import StorageUnavailable
from serve_app.jobs.job import State
from serve_app.stems.request import Result, SeparationJob, StemFile
from serve_app.stems.reuse import Reuse
from serve_app.storage.local import LocalStorage
from tests.jobs import ManualClock, SongStore, asking, new_job

KEPT = 1800.0


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


@pytest.fixture
def reuse(store: SongStore, storage: LocalStorage, clock: ManualClock) -> Reuse:
    return Reuse(store, storage, clock)


@pytest.fixture
def donor(store: SongStore, storage: LocalStorage, tmp_path: Path) -> SeparationJob:
    stems = []
    (tmp_path / "song").write_text("song")
    storage.put("originals/donor", tmp_path / "song")
    for name in ("drums", "bass"):
        (tmp_path / name).write_text(name)
        key = f"stems/donor/2/{name}.wav"
        storage.put(key, tmp_path / name)
        filename = f"old_{name}.wav"
        stems.append(StemFile(name, key, filename, len(name), "ab" * 32, "audio/wav"))
    found = Result("demo", tuple(stems), 0.5, {"bpm": 120.0}, device_seconds=9.0)
    return ended(store, "donor", found)


def ended(store: SongStore, job_id: str, result: Result) -> SeparationJob:
    store.add(new_job(job_id, same_work="song"))
    (claimed,) = store.claim("me", lease_seconds=9, include_alone=True)
    store.succeed(claimed.claim, result)
    return store.get(job_id)


def wanting(job_id: str = "b", **changes: Any) -> SeparationJob:
    return new_job(job_id, same_work="song", attempt=3, **changes)


def test_the_stems_are_the_jobs_own(
    reuse: Reuse, storage: LocalStorage, donor: SeparationJob
) -> None:
    result = reuse.result(wanting())
    assert result is not None
    assert result.cache == "hit"
    assert result.device_seconds == 0.0
    assert (result.model, result.gain, result.analysis) == ("demo", 0.5, {"bpm": 120.0})
    assert [stem.key for stem in result.stems] == [
        "stems/b/3/drums.wav",
        "stems/b/3/bass.wav",
    ]
    assert [stem.filename for stem in result.stems] == [
        "Söng 'one'_drums.wav",
        "Söng 'one'_bass.wav",
    ]
    song = replace(wanting().request.source, filename='12" Mix. Live')
    renamed = reuse.result(asking(wanting("c"), source=song))
    assert renamed is not None
    assert renamed.stems[0].filename == "12_ Mix. Live_drums.wav"
    storage.delete("stems/donor")
    for stem in result.stems:
        assert b"".join(storage.read(stem.key)) == stem.name.encode()


def test_a_job_with_the_same_file_gets_the_song_too(
    reuse: Reuse, storage: LocalStorage, donor: SeparationJob
) -> None:
    assert reuse.result(wanting(), [donor]) is not None
    storage.delete("originals/donor")
    assert b"".join(storage.read("originals/b")) == b"song"
    # Without the song there is no analysis to give.
    assert reuse.result(wanting("c"), [donor]) is None
    assert not [*storage.list("stems/c"), *storage.list("originals/c")]


def test_a_job_with_the_same_sound_keeps_its_own_file(
    reuse: Reuse, storage: LocalStorage, donor: SeparationJob, tmp_path: Path
) -> None:
    (tmp_path / "flac").write_text("flac")
    storage.put("originals/b", tmp_path / "flac")
    assert reuse.result(wanting()) is not None
    assert b"".join(storage.read("originals/b")) == b"flac"
    storage.delete("stems/donor")
    assert reuse.result(wanting()) is None
    assert b"".join(storage.read("originals/b")) == b"flac"


def test_a_job_that_shares_nothing_gets_nothing(
    reuse: Reuse, donor: SeparationJob
) -> None:
    assert reuse.result(new_job("b")) is None
    assert reuse.result(new_job("b", same_work="other")) is None


def test_what_has_expired_gives_nothing(
    reuse: Reuse, donor: SeparationJob, clock: ManualClock
) -> None:
    clock.advance(KEPT)
    assert reuse.result(wanting()) is None


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.QUEUED])
def test_only_what_succeeded_gives(
    store: SongStore, reuse: Reuse, donor: SeparationJob, state: State
) -> None:
    store.remove("donor")
    store.add(new_job("c", same_work="song", state=state))
    assert reuse.result(wanting()) is None


def test_an_older_job_gives_what_a_younger_one_has_lost(
    store: SongStore,
    storage: LocalStorage,
    reuse: Reuse,
    donor: SeparationJob,
    clock: ManualClock,
) -> None:
    assert donor.result is not None
    clock.advance(1)
    store.add(
        new_job(
            "young",
            same_work="song",
            created_at=clock.now,
            state=State.SUCCEEDED,
            result=Result(
                "demo",
                tuple(
                    StemFile(
                        stem.name,
                        stem.key.replace("donor/2", "young/0"),
                        *(stem.filename, stem.size_bytes, stem.sha256, stem.media_type),
                    )
                    for stem in donor.result.stems
                ),
                0.25,
            ),
        ),
    )
    storage.copy("stems/donor/2/drums.wav", "stems/young/0/drums.wav")
    result = reuse.result(wanting())
    assert result is not None
    assert result.gain == 0.5


def test_a_store_that_fails_half_way_leaves_nothing(
    storage: LocalStorage,
    reuse: Reuse,
    donor: SeparationJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = storage.copy

    def fail(source: str, key: str) -> None:
        if "bass" in key:
            raise StorageUnavailable("It is away.")
        copy(source, key)

    monkeypatch.setattr(storage, "copy", fail)
    for donors in ([], [donor]):
        assert reuse.result(wanting(), donors) is None
        assert not [*storage.list("stems/b"), *storage.list("originals/b")]


@pytest.mark.parametrize(
    ("model", "is_given"),
    [
        ("demo", True),
        ("hdemucs_high_musdb_plus", False),
        ("htdemucs", False),
        ("of another version", False),
    ],
)
def test_stems_of_a_model_that_is_not_allowed_are_not_given(
    store: SongStore,
    storage: LocalStorage,
    clock: ManualClock,
    donor: SeparationJob,
    model: str,
    is_given: bool,
) -> None:
    assert donor.result is not None
    made = donor.evolve(result=replace(donor.result, model=model))
    strict = Reuse(store, storage, clock, "permissive")
    assert (strict.result(wanting(), [made]) is not None) == is_given
    assert Reuse(store, storage, clock).result(wanting("c"), [made]) is not None


def test_the_job_whose_stems_are_reused_is_reported(
    store: SongStore, storage: LocalStorage, clock: ManualClock, donor: SeparationJob
) -> None:
    reused: list[SeparationJob] = []
    reuse = Reuse(store, storage, clock, on_reuse=reused.append)
    assert reuse.result(new_job("x", same_work="another song")) is None
    assert reused == []
    assert reuse.result(wanting()) is not None
    assert reused == [donor]
