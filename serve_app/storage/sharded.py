"""Files by key, distributed over several stores."""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from serve_app.errors import StorageUnavailable
from serve_app.storage import keys
from serve_app.storage.port import Storage, StoredFile

logger = logging.getLogger(__name__)

Found = TypeVar("Found")

_TAG_CHARACTERS = 32  # 128 bits: can't be guessed.


class ShardedStorage:
    """Files distributed over named `stores`, with `copies` of each file.

    Rendezvous hashing (Thaler and Ravishankar 1998) orders the stores for each key. If
    a store is added or removed, only its share of the files moves, and older files are
    still found, because reads try all stores in the key's order. If a store is
    unavailable, writes go to the next one in that order, and reads to other copies. A
    file's name in a store has an HMAC of its key under the secret `salt`, so that names
    can't be guessed from keys; without a salt it is the key. Keys should be written
    only once: a store that is unavailable during an overwrite keeps the old file.
    """

    def __init__(
        self, stores: Mapping[str, Storage], salt: bytes | None, copies: int = 1
    ) -> None:
        if not 1 <= copies <= len(stores):
            raise ValueError(
                f"copies must be 1 to {len(stores)}, the number of stores, got {copies}"
            )
        if salt == b"":
            raise ValueError("salt must not be empty")
        self._stores = dict(stores)
        self._salt = salt
        self._copies = copies

    def order(self, key: str) -> list[str]:
        """Return the names of all stores, in the order in which `key` uses them."""
        return sorted(
            self._stores, key=lambda name: self._digest(f"{name}\n{key}"), reverse=True
        )

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` in as many stores as there are copies.

        Raises StorageUnavailable if too few stores are available.
        """
        place, stored = self._place(key), 0
        for name in self.order(key):
            try:
                self._stores[name].put(place, path, synced=synced)
            except StorageUnavailable as err:
                _log_failure("put", name, key, err)
                last = err
                continue
            stored += 1
            if stored == self._copies:
                return
        raise last

    def copy(self, source: str, key: str) -> None:
        """Copy `source` to `key` in each store that has `source`.

        These may not be the first stores of `key`, but reads try all stores.
        """
        place, target = self._place(source), self._place(key)
        copies = 0
        for name in self.order(source):
            try:
                self._stores[name].copy(place, target)
            except FileNotFoundError:
                continue
            except StorageUnavailable as err:
                _log_failure("copy", name, source, err)
                continue
            copies += 1
        if not copies:
            raise FileNotFoundError(2, "no such file in the storage", source)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if it is missing.

        If a store fails during the read, it continues with another copy.
        """
        keys.check_range(start, end)
        place = self._place(key)
        first = self._first(key, lambda store: store.read(place, start, end))
        return self._reading(key, first, start, end)

    def stat(self, key: str) -> StoredFile:
        """Return the size and time of `key`; FileNotFoundError if it is missing."""
        place = self._place(key)
        found = self._first(key, lambda store: store.stat(place))
        return StoredFile(key, found.size_bytes, found.modified_at)

    def link(
        self, key: str, disposition: str, media_type: str, seconds: int
    ) -> str | None:
        """Return a signed URL of the first store that has `key`, or None."""
        place = self._place(key)

        def ask(store: Storage) -> str | None:
            store.stat(place)
            return store.link(place, disposition, media_type, seconds)

        return self._first(key, ask)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix`, or all files if it is empty.

        Unavailable stores are skipped; raises StorageUnavailable if all are.
        """
        if prefix:
            keys.folder(prefix)
        return self._files(prefix)

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix`, or all files in the folder `prefix`, in all stores.

        Raises StorageUnavailable at the end if any store was unavailable.
        """
        folder = keys.folder(prefix)
        failures = []
        for name, store in self._stores.items():
            try:
                for place in {self._place(folder), folder}:
                    store.delete(place)
            except StorageUnavailable as err:
                _log_failure("delete", name, prefix, err)
                failures.append(err)
        if failures:
            raise failures[0]

    def _first(self, key: str, ask: Callable[[Storage], Found]) -> Found:
        """Return the result of `ask` for the first store that has `key`."""
        failure: StorageUnavailable | None = None
        for name in self.order(key):
            try:
                return ask(self._stores[name])
            except FileNotFoundError:
                continue
            except StorageUnavailable as err:
                _log_failure("read", name, key, err)
                failure = err
        if failure is not None:
            raise failure
        raise FileNotFoundError(2, "no such file in the storage", key)

    def _reading(
        self, key: str, chunks: Iterator[bytes], start: int, end: int | None
    ) -> Iterator[bytes]:
        others = iter(self.order(key))
        while True:
            try:
                for chunk in chunks:
                    start += len(chunk)
                    yield chunk
                return
            except StorageUnavailable as err:
                logger.warning(
                    "storage read resumed from another store key=%s byte=%d error=%s",
                    *(key, start, json.dumps(str(err))),
                )
                chunks = self._read_other(others, key, start, end, err)

    def _read_other(
        self,
        names: Iterator[str],
        key: str,
        start: int,
        end: int | None,
        failure: StorageUnavailable,
    ) -> Iterator[bytes]:
        for name in names:
            try:
                return self._stores[name].read(self._place(key), start, end)
            except (FileNotFoundError, StorageUnavailable):
                continue
        raise failure

    def _files(self, prefix: str) -> Iterator[StoredFile]:
        seen: set[str] = set()
        failures = []
        for name, store in self._stores.items():
            try:
                for file in store.list(prefix):
                    key = self._key(file.key)
                    if key not in seen:
                        seen.add(key)
                        yield StoredFile(key, file.size_bytes, file.modified_at)
            except StorageUnavailable as err:
                _log_failure("list", name, prefix, err)
                failures.append(err)
        if len(failures) == len(self._stores):
            raise failures[0]

    def _place(self, key: str) -> str:
        """Return a file's name in its store: the key, tagged in its last segment."""
        if self._salt is None:
            return keys.checked(key)
        path = PurePosixPath(keys.checked(key))
        tag = self._digest(key).hex()[:_TAG_CHARACTERS]
        return keys.checked(str(path.with_name(f"{tag}-{path.name}")))

    def _key(self, place: str) -> str:
        """Return the key of a file in a store; other files keep their name."""
        if self._salt is None:
            return place
        path = PurePosixPath(place)
        name = path.name[_TAG_CHARACTERS + 1 :]
        key = str(path.with_name(name)) if name else place
        return key if self._place(key) == place else place

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._salt or b"", text.encode(), hashlib.sha256)


def _log_failure(operation: str, store: str, key: str, err: Exception) -> None:
    logger.warning(
        "storage operation failed operation=%s store=%s key=%s error=%s",
        *(operation, store, key, json.dumps(str(err))),
    )
