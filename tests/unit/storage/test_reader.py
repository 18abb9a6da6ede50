"""A stored file is read at any position, and not as a whole."""

import io
from pathlib import Path

import pytest

from serve_app.errors import FileLost
from serve_app.storage.local import LocalStorage
from serve_app.storage.reader import StoredFileReader

DATA = bytes(range(251)) * 4000


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "files")
    (tmp_path / "file").write_bytes(DATA)
    storage.put("stems/a/1/drums.wav", tmp_path / "file")
    return storage


@pytest.fixture
def reader(storage: LocalStorage) -> StoredFileReader:
    return StoredFileReader(storage, "stems/a/1/drums.wav", len(DATA))


@pytest.mark.parametrize("start", [0, 1, 100_000, 262_143, 700_000, len(DATA) - 1])
def test_it_reads_what_the_file_has(reader: StoredFileReader, start: int) -> None:
    assert reader.seek(start) == start
    assert reader.read(10) == DATA[start : start + 10]
    assert reader.tell() == min(start + 10, len(DATA))
    assert reader.read() == DATA[start + 10 :]
    assert reader.read(1) == b""


def test_it_seeks_like_any_file(reader: StoredFileReader) -> None:
    assert reader.seek(-5, io.SEEK_END) == len(DATA) - 5
    assert reader.read() == DATA[-5:]
    assert reader.seek(-10, io.SEEK_CUR) == len(DATA) - 10
    assert reader.seek(-10) == 0
    assert reader.seek(len(DATA) + 5) == len(DATA) + 5
    assert reader.read(3) == b""


def test_only_the_neighbourhood_is_read(
    storage: LocalStorage, reader: StoredFileReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, spans = storage.read, []

    def watched(key: str, start: int = 0, end: int | None = None) -> object:
        spans.append((start, end))
        return read(key, start, end)

    monkeypatch.setattr(storage, "read", watched)
    reader.seek(500_000)
    for _ in range(100):
        reader.read(1000)
    assert spans == [(500_000, 762_144)]


def test_a_file_that_was_deleted_is_lost(
    storage: LocalStorage, reader: StoredFileReader
) -> None:
    storage.delete("stems/a")
    with pytest.raises(FileLost):
        reader.read(1)
