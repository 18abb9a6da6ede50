"""Windows that outlive the process that computed them."""

import logging
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from serve_app.errors import StorageUnavailable
from serve_app.separation.windows import WindowSpec
from serve_app.stems.stored_windows import Layout, SongWindows, find_layout, key
from serve_app.storage.local import LocalStorage

STEMS = np.random.default_rng(3).standard_normal((4, 2, 2048)).astype(np.float32)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


def layout(engine: str = "demo-1") -> Layout:
    return Layout(engine, ("drums", "vocals"), 32_000, WindowSpec(4096, 2048))


def parts(
    storage: LocalStorage,
    tmp_path: Path,
    job_id: str = "a",
    engine: str = "demo-1",
    attempt: int = 1,
) -> SongWindows:
    directory = tmp_path / "work"
    directory.mkdir(exist_ok=True)
    return SongWindows(storage, directory, job_id, attempt, layout(engine))


def test_the_next_attempt_finds_what_was_kept_to_the_last_bit(
    storage: LocalStorage, tmp_path: Path
) -> None:
    stems = STEMS.copy()
    with parts(storage, tmp_path) as first:
        first.keep(5, stems)
        # The caller may change them at once.
        stems *= 0
        wait_until_stored(first)
    with parts(storage, tmp_path) as second:
        found = second.load(5)
        assert found is not None
        np.testing.assert_array_equal(found, STEMS)
        found += 1  # The caller's own.
        assert second.load(4) is None
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(("job_id", "engine"), [("b", "demo-1"), ("a", "demo-2")])
def test_windows_of_another_job_or_engine_are_not_taken(
    storage: LocalStorage, tmp_path: Path, job_id: str, engine: str
) -> None:
    with parts(storage, tmp_path) as first:
        first.keep(0, STEMS)
        wait_until_stored(first)
    with parts(storage, tmp_path, job_id, engine) as other:
        assert other.load(0) is None


def test_a_window_that_has_gone_meanwhile_is_computed_again(
    storage: LocalStorage, tmp_path: Path
) -> None:
    with parts(storage, tmp_path) as first:
        first.keep(0, STEMS)
        wait_until_stored(first)
    with parts(storage, tmp_path) as second:
        storage.delete("parts/a")
        assert second.load(0) is None


def test_each_attempt_says_how_its_windows_are_joined(
    storage: LocalStorage, tmp_path: Path
) -> None:
    for attempt, engine in [(1, "demo-1"), (2, "demo-2"), (12, "demo-1")]:
        with parts(storage, tmp_path, engine=engine, attempt=attempt) as some:
            wait_until_stored(some)
    assert find_layout(storage, "a", 2) == layout("demo-2")
    assert find_layout(storage, "a", 12) == layout("demo-1")
    assert find_layout(storage, "a", 3) is None
    assert find_layout(storage, "b", 1) is None
    assert list((tmp_path / "work").iterdir()) == []


def test_windows_alone_are_counted_as_resumed(
    storage: LocalStorage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for attempt in (1, 2):
            with parts(storage, tmp_path, attempt=attempt) as some:
                some.keep(0, STEMS)
                wait_until_stored(some)
    assert caplog.text.count("resumed") == 1
    assert "windows=1" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty"])
def test_what_a_power_cut_left_of_a_window_is_computed_again(
    storage: LocalStorage, tmp_path: Path, damage: str
) -> None:
    with parts(storage, tmp_path) as first:
        first.keep(0, STEMS)
        wait_until_stored(first)
    stored = storage._root / key("a", "demo-1", 0)
    whole = stored.read_bytes()
    half = len(whole) // 2
    left = {"cut": whole[:half], "zeros": whole[:half] + bytes(half), "empty": b""}
    stored.write_bytes(left[damage])
    with parts(storage, tmp_path) as second:
        assert second.load(0) is None


def test_a_store_that_is_down_costs_the_part_but_not_the_job(
    storage: LocalStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def down(key: str, path: Path, *, synced: bool = True) -> None:
        raise StorageUnavailable("no answer")

    monkeypatch.setattr(storage, "put", down)
    with caplog.at_level(logging.WARNING), parts(storage, tmp_path) as some:
        some.keep(0, STEMS)
        wait_until_stored(some)
    assert "window not kept window=0 job=a: no answer" in caplog.text
    assert "layout not kept job=a: no answer" in caplog.text
    assert list((tmp_path / "work").iterdir()) == []


def test_a_full_disk_costs_the_part_but_not_the_job(
    storage: LocalStorage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with parts(storage, tmp_path) as some:
        wait_until_stored(some)
        (tmp_path / "work").rmdir()
        with caplog.at_level(logging.WARNING):
            some.keep(0, STEMS)
    assert "window not kept window=0 job=a" in caplog.text


def test_a_store_slower_than_the_device_holds_nothing_up(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, put = Event(), storage.put

    def slow(key: str, path: Path, *, synced: bool = True) -> None:
        assert gate.wait(10)
        put(key, path, synced=synced)

    monkeypatch.setattr(storage, "put", slow)
    with parts(storage, tmp_path) as some:
        for index in range(20):
            some.keep(index, STEMS)
        assert len(list((tmp_path / "work").iterdir())) <= 5
        gate.set()
        wait_until_stored(some)
    assert storage.stat(key("a", "demo-1", 0)).size_bytes > STEMS.nbytes


def wait_until_stored(some: SongWindows) -> None:
    some._thread.submit(lambda: None).result(10)
