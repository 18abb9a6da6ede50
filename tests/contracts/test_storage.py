"""The contract of file stores."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve_app.storage.port import Storage

SONG = bytes(range(256)) * 4096  # larger than any chunk


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return written(tmp_path / "song", SONG)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(storage.read(key, start, end))


def keys(storage: Storage, prefix: str) -> list[str]:
    return sorted(file.key for file in storage.list(prefix))


def test_what_was_put_is_read_whole(storage: Storage, song: Path) -> None:
    storage.put("originals/a", song)
    assert read(storage, "originals/a") == SONG


def test_a_file_stays_when_what_it_was_put_from_goes(
    storage: Storage, song: Path
) -> None:
    storage.put("originals/a", song)
    song.unlink()
    assert read(storage, "originals/a") == SONG


def test_putting_a_file_twice_is_fine(storage: Storage, song: Path) -> None:
    storage.put("originals/a", song)
    storage.put("originals/a", song)
    assert keys(storage, "") == ["originals/a"]


def test_a_new_file_takes_the_place_of_the_old(storage: Storage, song: Path) -> None:
    storage.put("originals/a", song)
    storage.put("originals/a", written(song.with_name("new"), b"new"))
    assert read(storage, "originals/a") == b"new"
    assert keys(storage, "") == ["originals/a"]


def test_an_empty_file_is_a_file(storage: Storage, song: Path) -> None:
    storage.put("originals/a", written(song.with_name("empty"), b""))
    assert read(storage, "originals/a") == b""
    assert storage.stat("originals/a").size_bytes == 0


def test_putting_what_does_not_exist_leaves_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        storage.put("originals/a", tmp_path / "nothing")
    assert keys(storage, "") == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, None),
        (0, 0),
        (0, 1),
        (5, 5),
        (1000, 900_000),
        (len(SONG) - 1, None),
        (len(SONG) - 1, len(SONG)),
        (10, 10 * len(SONG)),
        (len(SONG), None),
        (2 * len(SONG), None),
    ],
)
def test_a_range_is_a_slice(
    storage: Storage, song: Path, start: int, end: int | None
) -> None:
    storage.put("originals/a", song)
    assert read(storage, "originals/a", start, end) == SONG[start:end]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (0, -1)])
def test_an_invalid_range_is_refused(
    storage: Storage, song: Path, start: int, end: int | None
) -> None:
    storage.put("originals/a", song)
    with pytest.raises(ValueError, match="range"):
        read(storage, "originals/a", start, end)


@pytest.mark.parametrize("key", ["originals/b", "originals", "originals/a/b"])
def test_a_file_that_is_not_there_is_not_found(
    storage: Storage, song: Path, key: str
) -> None:
    storage.put("originals/a", song)
    with pytest.raises(FileNotFoundError):
        read(storage, key)
    with pytest.raises(FileNotFoundError):
        storage.stat(key)


def test_stat_tells_size_and_time_of_storing(storage: Storage, song: Path) -> None:
    os.utime(song, (0, 0))
    storage.put("originals/a", song)
    file = storage.stat("originals/a")
    assert (file.key, file.size_bytes) == ("originals/a", len(SONG))
    assert abs(file.modified_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_folder_lists_its_own_files_only(storage: Storage, song: Path) -> None:
    for key in ("stems/ab/1/drums.wav", "stems/ab/2/bass.wav", "stems/abc/1/x.wav"):
        storage.put(key, song)
    storage.put("originals/ab", song)
    mine = ["stems/ab/1/drums.wav", "stems/ab/2/bass.wav"]
    assert keys(storage, "stems/ab/") == mine
    assert keys(storage, "stems/ab") == mine
    assert len(keys(storage, "")) == 4
    assert keys(storage, "nothing/") == []
    assert [file.size_bytes for file in storage.list("stems/abc")] == [len(SONG)]


def test_deleting_a_folder_leaves_its_neighbours(storage: Storage, song: Path) -> None:
    for key in ("stems/ab/1/drums.wav", "stems/ab/2/bass.wav", "stems/abc/1/x.wav"):
        storage.put(key, song)
    storage.delete("stems/ab/")
    assert keys(storage, "") == ["stems/abc/1/x.wav"]


def test_deleting_a_file_leaves_its_neighbours(storage: Storage, song: Path) -> None:
    for key in ("originals/a", "originals/ab"):
        storage.put(key, song)
    storage.delete("originals/a")
    assert keys(storage, "") == ["originals/ab"]


@pytest.mark.parametrize("prefix", ["stems/a", "stems/a/", "originals/a/b"])
def test_deleting_what_is_not_there_is_fine(
    storage: Storage, song: Path, prefix: str
) -> None:
    storage.put("originals/a", song)
    storage.delete(prefix)
    assert keys(storage, "") == ["originals/a"]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../secret",
        "originals/../../secret",
        "originals/./a",
        "originals//a",
        "originals\\a",
        "originals/a\0",
        "originals/a\n",
        "originals/.hidden",
        "originals/a b",
        "originals/sö",
        "C:/a",
        "a" * 256,
        "/".join(["abcdefgh"] * 150),
    ],
)
def test_every_method_refuses_invalid_keys(
    storage: Storage, song: Path, key: str
) -> None:
    with pytest.raises(ValueError, match="not a valid key"):
        storage.put(key, song)
    with pytest.raises(ValueError, match="not a valid key"):
        storage.stat(key)
    with pytest.raises(ValueError, match="not a valid key"):
        read(storage, key)
    with pytest.raises(ValueError, match="not a valid key"):
        storage.delete(key)
    if key:
        with pytest.raises(ValueError, match="not a valid key"):
            list(storage.list(key))


def test_readers_see_the_old_file_or_the_new_and_nothing_between(
    storage: Storage, tmp_path: Path
) -> None:
    versions = [bytes([number]) * 300_000 for number in range(10)]
    paths = [written(tmp_path / f"v{v[0]}", v) for v in versions]
    storage.put("originals/a", paths[0])

    def put_all() -> None:
        for path in paths * 2:
            storage.put("originals/a", path)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(put_all)
        while not writer.done():
            assert read(storage, "originals/a") in versions
        writer.result()


def test_a_folder_can_be_deleted_while_it_is_written(
    storage: Storage, song: Path
) -> None:
    def put_all() -> None:
        for number in range(50):
            storage.put(f"stems/a/{number}/drums.wav", song)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(put_all)
        while not writer.done():
            storage.delete("stems/a/")
        writer.result()
    storage.delete("stems/a/")
    assert keys(storage, "") == []


def test_a_copy_is_independent_of_its_source(storage: Storage, song: Path) -> None:
    storage.put("stems/a/1/drums.wav", song)
    storage.copy("stems/a/1/drums.wav", "stems/b/0/drums.wav")
    storage.delete("stems/a")
    assert read(storage, "stems/b/0/drums.wav") == SONG
    assert keys(storage, "") == ["stems/b/0/drums.wav"]


def test_a_missing_file_can_not_be_copied(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.copy("stems/a/1/drums.wav", "stems/b/0/drums.wav")
    assert keys(storage, "") == []


def test_overwriting_what_was_copied_leaves_the_copy(
    storage: Storage, song: Path
) -> None:
    storage.put("stems/a", song)
    storage.copy("stems/a", "stems/b")
    storage.put("stems/a", written(song.with_name("new"), b"new"))
    assert (read(storage, "stems/a"), read(storage, "stems/b")) == (b"new", SONG)
