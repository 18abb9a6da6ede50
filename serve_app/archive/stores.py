"""The stores of the archive, each of which has a copy of all media."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from serve_app.errors import FileLost, StorageFull, StorageUnavailable
from serve_app.settings import Settings
from serve_app.storage import addresses, disks, keys
from serve_app.storage.fetch import fetched
from serve_app.storage.local import PARTIAL, LocalStorage
from serve_app.storage.observed import ObservedStorage, OnError
from serve_app.storage.port import Storage, StoredFile
from serve_app.storage.sharded import ShardedStorage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoreFacts:
    """What the old API's tables say of a store.

    `number` is 1 to 5. `repository` is `user/name` on the Hub, else the store's place
    without its options.
    """

    name: str
    number: int
    repository: str


@dataclass(frozen=True)
class Store:
    """A store with its facts.

    The public URL of an object, if there is one, is `base_url` and its key. It is on
    `hosts`, or redirects to them.
    """

    facts: StoreFacts
    storage: Storage
    base_url: str = ""
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """What is known of the content of an object, None for nothing."""

    size_bytes: int | None = None
    sha256: str | None = None

    def is_in(self, path: Path) -> bool:
        """Return whether a file has the SHA-256, if it is known."""
        if self.sha256 is None:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256


ANY_CONTENT = Content()


def configured(settings: Settings, on_error: OnError | None = None) -> Sequence[Store]:
    """Return the stores that `settings` name.

    `on_error` gets the name of each operation of a store that fails.
    """
    places = settings.archive_stores
    accounts = settings.archive_hub_accounts
    if places or not accounts:
        places = places or (str(settings.data_dir.absolute() / "archive"),)
        return [
            _at_place(number, place, on_error) for number, place in enumerate(places, 1)
        ]
    name = settings.archive_hub_repository
    return [
        _on_hub(number, f"{user}/{name}", token, on_error)
        for number, (user, token) in accounts.items()
    ]


class MediaStores:
    """Objects in several stores, under the same exact key in each.

    Each object uses the stores in an order of its own. Methods block, and are
    thread-safe.
    """

    def __init__(
        self,
        settings: Settings,
        open_all: Callable[[Settings], Sequence[Store]] = configured,
    ) -> None:
        self._stores = {store.facts.name: store for store in open_all(settings)}
        self._all = ShardedStorage(
            {name: store.storage for name, store in self._stores.items()}, salt=None
        )
        self._working_dir = settings.working_dir
        self._reserve_bytes = settings.archive_reserve_bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all stores, which stay the same when others come and go."""
        return tuple(self._stores)

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts of the stores' direct URLs, as `*.example.com` too."""
        found = [host for store in self._stores.values() for host in store.hosts]
        return tuple(dict.fromkeys(found))

    def has_url(self, url: str) -> bool:
        """Whether a URL is the direct one of an object in a store."""
        return any(_is_under(store.base_url, url) for store in self._stores.values())

    def facts(self, name: str) -> StoreFacts:
        """Return the facts of a store; KeyError if the settings have it no more."""
        return self._stores[name].facts

    def put_first(self, object_key: str, path: Path) -> str:
        """Store the file at `path` in the first store that takes it; return its name.

        Raises StorageUnavailable if none does.
        """
        for name in self._all.order(object_key):
            try:
                self.put(name, object_key, path)
            except StorageUnavailable as err:
                _log_failure("put", name, object_key, err)
                failure = err
                continue
            return name
        raise failure

    def put(self, name: str, object_key: str, path: Path) -> None:
        """Store the file at `path` in one store."""
        self._stores[name].storage.put(object_key, path)

    def copy_to(
        self, name: str, object_key: str, content: Content = ANY_CONTENT
    ) -> None:
        """Copy an object with that `content` to one store, from any other.

        It does nothing if the store has it. Raises FileNotFoundError if no other store
        has it, StorageUnavailable if one could not be asked, and StorageFull if there
        is no room for it on this machine's disk.
        """
        if self.has(name, object_key, content.size_bytes):
            return
        failure: Exception = FileNotFoundError(2, "no store has the file", object_key)
        for source in self._all.order(object_key):
            if source == name:
                continue
            with ExitStack() as stack:
                try:
                    copy = self._working_copy(source, object_key, content)
                    path = stack.enter_context(copy)
                except StorageFull:
                    raise
                except (FileNotFoundError, FileLost):
                    continue
                except StorageUnavailable as err:
                    failure = err
                    continue
                self.put(name, object_key, path)
                return
        raise failure

    def has(self, name: str, object_key: str, size_bytes: int | None = None) -> bool:
        """Return whether a store has an object, with that size if it is given."""
        try:
            found = self._stores[name].storage.stat(object_key)
        except FileNotFoundError:
            return False
        return size_bytes is None or found.size_bytes == size_bytes

    def stat(self, object_key: str) -> StoredFile:
        """Return size and time of an object; FileNotFoundError if no store has it."""
        return self._all.stat(object_key)

    def read(
        self, object_key: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes [start, end) of an object; FileNotFoundError if none has it.

        If a store fails during the read, it continues with another copy.
        """
        return self._all.read(object_key, start, end)

    def direct_url(self, name: str, object_key: str) -> str | None:
        """Return the public URL that an object has in a store; None if it has none."""
        base_url = self._stores[name].base_url
        return f"{base_url}{keys.checked(object_key)}" if base_url else None

    def link(self, object_key: str, media_type: str, seconds: int) -> str | None:
        """Return a URL of any store, valid for `seconds`; None if none has one."""
        for name in self._all.order(object_key):
            storage = self._stores[name].storage
            try:
                url = storage.link(object_key, "inline", media_type, seconds)
                if url is not None and self.has(name, object_key):
                    return url
            except StorageUnavailable as err:
                _log_failure("link", name, object_key, err)
        return None

    def delete_in(self, name: str, object_key: str) -> None:
        """Delete an object in one store; one that is missing is no error."""
        self._stores[name].storage.delete(object_key)

    def sweep(self, before: datetime) -> None:
        """Delete incomplete files of killed processes that were begun before a time."""
        for name, store in self._stores.items():
            try:
                files = list(store.storage.list(PARTIAL))
                for file in files:
                    if file.modified_at < before:
                        store.storage.delete(file.key)
            except StorageUnavailable as err:
                _log_failure("sweep", name, PARTIAL, err)

    @contextmanager
    def _working_copy(
        self, name: str, object_key: str, content: Content
    ) -> Iterator[Path]:
        """Yield the path of a copy of an object from one store."""
        storage = self._stores[name].storage
        size_bytes = storage.stat(object_key).size_bytes
        if content.size_bytes not in (None, size_bytes):
            raise FileNotFoundError(2, "the store has another version", object_key)
        self._check_room(size_bytes)
        with fetched(storage, object_key, self._working_dir, "copy-") as path:
            if path.stat().st_size != size_bytes or not content.is_in(path):
                raise StorageUnavailable(
                    f"The store {name} has damaged {object_key}. Another copy is used."
                )
            yield path

    def _check_room(self, size_bytes: int) -> None:
        place = {"working_files": self._working_dir}
        disk = disks.usages(place).get("working_files")
        needed = size_bytes + self._reserve_bytes
        if disk is not None and disk.free_bytes < needed:
            raise StorageFull(
                f"A copy needs {needed // 1024**2} MiB on the disk of the working "
                f"files, which has {disk.free_bytes // 1024**2} MiB free."
            )


def _is_under(base_url: str, url: str) -> bool:
    if not base_url or not url.startswith(base_url):
        return False
    try:
        # Nothing that would lead out of the store.
        keys.checked(url.removeprefix(base_url).partition("?")[0])
    except ValueError:
        return False
    return True


def name_of(place: str) -> str:
    """Return the name of the store at a place: the place without its options."""
    return place.partition("?")[0].rstrip("/") or place


def _at_place(number: int, place: str, on_error: OnError | None) -> Store:
    name = name_of(place)
    return Store(StoreFacts(name, number, name), _observed(_storage(place), on_error))


def _storage(place: str) -> Storage:
    if addresses.is_directory(place):
        return LocalStorage(Path(place))
    # Imported here, because boto3 takes a third of a second.
    from serve_app.storage.s3 import S3Storage

    return S3Storage(addresses.bucket(place, "STEMSERVE_ARCHIVE_STORES"))


def _on_hub(
    number: int, repository: str, token: str, on_error: OnError | None
) -> Store:
    # Imported here, because it needs an extra.
    from serve_app.storage.hub import HubStorage
    from serve_app.storage.hub_connection import HubRepository

    place = HubRepository(repository, token)
    hub = HubStorage(place)
    facts = StoreFacts(f"hf://datasets/{repository}", number, repository)
    return Store(facts, _observed(hub, on_error), place.base_url, place.hosts)


def _observed(storage: Storage, on_error: OnError | None) -> Storage:
    return storage if on_error is None else ObservedStorage(storage, on_error)


def _log_failure(operation: str, store: str, key: str, err: Exception) -> None:
    logger.warning(
        "archive store failed operation=%s store=%s key=%s error=%s",
        *(operation, store, key, json.dumps(str(err))),
    )
