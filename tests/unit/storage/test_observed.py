"""Failures of a store are reported by operation, and raised as before."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serve_app.errors import StorageFull, StorageUnavailable
from serve_app.storage.local import LocalStorage
from serve_app.storage.observed import ObservedStorage
from serve_app.storage.port import StoredFile


class Broken(LocalStorage):
    """A store that fails: `read` and `list` after their first item."""

    def _fail(self, *_: object, **__: object) -> None:
        raise StorageFull("full")

    put = copy = delete = link = _fail

    def stat(self, key: str) -> StoredFile:
        raise StorageUnavailable("away")

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        yield b"first"
        raise StorageUnavailable("away")

    def list(self, prefix: str) -> Iterator[StoredFile]:
        yield StoredFile("a", 1, None)  # type: ignore[arg-type]
        raise StorageUnavailable("away")


CALLS: dict[str, Callable[[ObservedStorage], object]] = {
    "put": lambda storage: storage.put("a", Path("a")),
    "copy": lambda storage: storage.copy("a", "b"),
    "read": lambda storage: list(storage.read("a")),
    "stat": lambda storage: storage.stat("a"),
    "link": lambda storage: storage.link("a", "", "", 1),
    "list": lambda storage: list(storage.list("a")),
    "delete": lambda storage: storage.delete("a"),
}


@pytest.mark.parametrize("operation", CALLS)
def test_an_operation_that_fails_is_reported_once(
    operation: str, tmp_path: Path
) -> None:
    failed: list[str] = []
    storage = ObservedStorage(Broken(tmp_path), failed.append)
    with pytest.raises(StorageUnavailable):
        CALLS[operation](storage)
    assert failed == [operation]


def test_a_missing_file_is_no_failure(tmp_path: Path) -> None:
    failed: list[str] = []
    storage = ObservedStorage(LocalStorage(tmp_path), failed.append)
    with pytest.raises(FileNotFoundError):
        storage.read("a")
    with pytest.raises(FileNotFoundError):
        storage.stat("a")
    assert failed == []
