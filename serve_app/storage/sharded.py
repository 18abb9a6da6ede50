"""Files by key in several stores that look like one."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from serve_app.errors import StorageUnavailable
from serve_app.storage import keys
from serve_app.storage.port import Storage, StoredFile

logger = logging.getLogger(__name__)

Found = TypeVar("Found")

_TAG_CHARACTERS = 32  # 128 bits: nobody guesses that.


class ShardedStorage:
    """Files spread over named `stores`, each with as many `copies`.

    Where a file goes follows from its key by rendezvous hashing (Thaler and Ravishankar
    1998): when a store is added or taken away, only its share of the files belongs
    elsewhere, and those stored before are still found, because all stores are asked in
    the key's order. A store that does not answer is left out: the next one in that
    order gets the file, and reads go to other copies. A file's name in a store holds an
    HMAC of its key under the secret `salt`, so that knowing a key is not enough to ask
    a bucket for it. Keys should be written once: what is overwritten while a store is
    away is old there when it is back.
    """

    def __init__(
        self, stores: Mapping[str, Storage], salt: bytes, copies: int = 1
    ) -> None:
        if not 1 <= copies <= len(stores):
            raise ValueError(f"{copies} copies need as many stores, not {len(stores)}")
        if not salt:
            raise ValueError("the salt must not be empty")
        self._stores = dict(stores)
        self._salt = salt
        self._copies = copies

    def order(self, key: str) -> list[str]:
        """Return the names of all stores, the ones that `key` belongs to first."""
        return sorted(
            self._stores, key=lambda name: self._digest(f"{name}\n{key}"), reverse=True
        )

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` in as many stores as it has copies.

        Raises StorageUnavailable when too few of them answer.
        """
        place, stored = self._place(key), 0
        for name in self.order(key):
            try:
                self._stores[name].put(place, path, synced=synced)
            except StorageUnavailable as err:
                logger.warning("store %s did not take %s: %s", name, key, err)
                last = err
                continue
            stored += 1
            if stored == self._copies:
                return
        raise last

    def copy(self, source: str, key: str) -> None:
        """Store `source` under `key` as well, in each store that has it.

        That may not be where `key` belongs, but all stores are asked for it.
        """
        place, target = self._place(source), self._place(key)
        copies = 0
        for name in self.order(source):
            try:
                self._stores[name].copy(place, target)
            except FileNotFoundError:
                continue
            except StorageUnavailable as err:
                logger.warning("store %s did not copy %s: %s", name, source, err)
                continue
            copies += 1
        if not copies:
            raise FileNotFoundError(2, "there is no such file", source)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if there is none.

        When a store fails on the way, another copy is read on from there.
        """
        keys.check_range(start, end)
        place = self._place(key)
        first = self._first(key, lambda store: store.read(place, start, end))
        return self._reading(key, first, start, end)

    def stat(self, key: str) -> StoredFile:
        """Describe `key`; FileNotFoundError if there is none."""
        place = self._place(key)
        found = self._first(key, lambda store: store.stat(place))
        return StoredFile(key, found.size_bytes, found.modified_at)

    def link(
        self, key: str, disposition: str, media_type: str, seconds: int
    ) -> str | None:
        """Return an address in the first store that has `key`, if it has addresses."""
        place = self._place(key)

        def ask(store: Storage) -> str | None:
            store.stat(place)
            return store.link(place, disposition, media_type, seconds)

        return self._first(key, ask)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix`, or every file when it is empty.

        Those of a store that does not answer are left out, unless none does.
        """
        if prefix:
            keys.folder(prefix)
        return self._files(prefix)

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix` or all files in the folder `prefix`, everywhere.

        Raises StorageUnavailable when a store does not answer, after all were asked.
        """
        folder = keys.folder(prefix)
        failures = []
        for name, store in self._stores.items():
            try:
                store.delete(self._place(folder))
                store.delete(folder)
            except StorageUnavailable as err:
                logger.warning("store %s did not delete %s: %s", name, prefix, err)
                failures.append(err)
        if failures:
            raise failures[0]

    def _first(self, key: str, ask: Callable[[Storage], Found]) -> Found:
        """Return the answer of the first store that has `key`."""
        failure: StorageUnavailable | None = None
        for name in self.order(key):
            try:
                return ask(self._stores[name])
            except FileNotFoundError:
                continue
            except StorageUnavailable as err:
                logger.warning("store %s was asked in vain for %s: %s", name, key, err)
                failure = err
        if failure is not None:
            raise failure
        raise FileNotFoundError(2, "there is no such file", key)

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
                logger.warning("reading %s goes on elsewhere: %s", key, err)
                chunks = self._elsewhere(others, key, start, end, err)

    def _elsewhere(
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
                logger.warning("store %s did not list %s: %s", name, prefix, err)
                failures.append(err)
        if len(failures) == len(self._stores):
            raise failures[0]

    def _place(self, key: str) -> str:
        """Return the name of a file in its store: the last segment gets its tag."""
        path = PurePosixPath(keys.checked(key))
        tag = self._digest(key).hex()[:_TAG_CHARACTERS]
        return keys.checked(str(path.with_name(f"{tag}-{path.name}")))

    def _key(self, place: str) -> str:
        """Return the key of a file in a store; what is not ours keeps its name."""
        path = PurePosixPath(place)
        name = path.name[_TAG_CHARACTERS + 1 :]
        key = str(path.with_name(name)) if name else place
        return key if self._place(key) == place else place

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._salt, text.encode(), hashlib.sha256)
