"""Requests for mixes are checked, and the same one has the same name."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve_app.errors import InvalidInput, TooManyRequests
from serve_app.jobs.job import State
from serve_app.stems import mixes
from serve_app.stems.request import Result, SeparationJob, StemFile
from serve_app.storage.local import LocalStorage
from tests.jobs import new_job


def stem(name: str) -> StemFile:
    return StemFile(name, f"stems/a/1/{name}.wav", f"{name}.wav", 4, "", "audio/wav")


@pytest.fixture
def job() -> SeparationJob:
    result = Result("demo", (stem("drums"), stem("bass"), stem("vocals")), 1.0)
    return new_job(state=State.SUCCEEDED, result=result)


def test_stems_are_in_the_order_of_the_job_without_silent_ones(
    job: SeparationJob,
) -> None:
    gains = {"vocals": 0.5, "bass": 0.0, "drums": 1.0}
    request = mixes.request_of(job, gains, "flac")
    assert list(request.gains.items()) == [("drums", 1.0), ("vocals", 0.5)]
    assert request.filename == "Söng 'one' (drums + vocals).flac"


def test_the_same_mix_has_the_same_name(job: SeparationJob) -> None:
    def named(form: str = "wav", **gains: float) -> str:
        return mixes.request_of(job, gains, form).id

    same = named(drums=1.0, vocals=0.5)
    assert mixes.is_id(same)
    assert named(vocals=0.5, drums=1.0, bass=0.0) == same
    others = {
        named(drums=1.0),
        named(drums=1.0, vocals=0.6),
        named(drums=0.5, vocals=1.0),
        named("flac", drums=1.0, vocals=0.5),
    }
    assert len(others | {same}) == 5


@pytest.mark.parametrize(
    ("gains", "form", "said"),
    [
        ({"piano": 1.0}, "wav", "'piano', which is not a stem of this job. Its stems"),
        ({"drums": 0.0}, "wav", "at least one a gain above 0"),
        ({}, "wav", "at least one a gain above 0"),
        ({"drums": 1.0, "bass": 1e-300}, "wav", r"must be 0, or from 0.000001 "),
        ({"drums": 5e-324}, "wav", r"\(-120 dB\) to 2, got 4.94066e-324"),
        ({"drums": 1.0}, "aac", "There is no format 'aac'. Choose one of: wav"),
    ],
)
def test_a_mix_that_can_t_be_is_refused(
    job: SeparationJob, gains: dict[str, float], form: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        mixes.request_of(job, gains, form)


@pytest.mark.parametrize(
    "text", ["", "a" * 31, "A" * 32, "../" + "a" * 29, "g" * 32, "a" * 33]
)
def test_only_digests_are_names(text: str) -> None:
    assert not mixes.is_id(text)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"id": "x", "format": "none", "filename": "", "size_bytes": 3, "gain": 1}',
        '{"id": "x", "format": "wav", "filename": "", "size_bytes": 4, "gain": 1}',
    ],
)
def test_a_mix_that_is_not_complete_does_not_exist(tmp_path: Path, record: str) -> None:
    storage, mix_id = LocalStorage(tmp_path / "files"), "a" * 32
    (tmp_path / "mix").write_text("123")
    (tmp_path / "record").write_text(record)
    storage.put(mixes.file_key("a", mix_id, "wav"), tmp_path / "mix")
    storage.put(mixes.record_key("a", mix_id), tmp_path / "record")
    assert mixes.find(storage, "a", mix_id) is None


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def kept_mixes(tmp_path: Path, ages_seconds: list[float]) -> LocalStorage:
    """Return a store with a mix of each age, named by its position."""
    storage = LocalStorage(tmp_path / "files")
    for position, age in enumerate(ages_seconds):
        mix_id = f"{position:032x}"
        for key in (mixes.file_key("a", mix_id, "wav"), mixes.record_key("a", mix_id)):
            (tmp_path / "file").write_text("{}")
            storage.put(key, tmp_path / "file")
            (tmp_path / "file").unlink(missing_ok=True)
        at = (NOW - timedelta(seconds=age)).timestamp()
        (path,) = (tmp_path / "files").rglob(f"mix-{mix_id}.json")
        os.utime(path, (at, at))
    return storage


def names(storage: LocalStorage) -> set[int]:
    """Return the positions of the mixes of which a file is kept."""
    keys = (Path(file.key).stem for file in storage.list("derived/a"))
    return {int(key.removeprefix("mix-"), 16) for key in keys}


@pytest.mark.parametrize(
    ("ages_seconds", "others", "left"),
    [
        ([], 0, set()),
        ([], 7, set()),
        ([600] * 7, 0, set(range(7))),
        ([300, 700, 500, 90, 80, 70, 65, 61], 0, {0, 2, 3, 4, 5, 6, 7}),
        ([300, 700, 500, 90], 6, {3}),
        ([700, 20, 10], 5, {1, 2}),
        ([59] * 7, 0, set(range(7))),
    ],
)
def test_the_oldest_mixes_make_room_for_another(
    tmp_path: Path, ages_seconds: list[float], others: int, left: set[int]
) -> None:
    storage = kept_mixes(tmp_path, ages_seconds)
    mixes.make_room(storage, "a", others, NOW)
    assert names(storage) == left


@pytest.mark.parametrize(
    ("ages_seconds", "others"), [([59] * 8, 0), ([700, *[1] * 4], 4), ([], 8)]
)
def test_no_mix_of_the_last_minute_makes_room(
    tmp_path: Path, ages_seconds: list[float], others: int
) -> None:
    storage = kept_mixes(tmp_path, ages_seconds)
    with pytest.raises(TooManyRequests, match="in a minute"):
        mixes.make_room(storage, "a", others, NOW)
    assert names(storage) == set(range(len(ages_seconds)))
