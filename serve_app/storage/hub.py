"""Files by key in a dataset repository of the Hugging Face Hub."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from serve_app.errors import StorageUnavailable
from serve_app.storage import keys
from serve_app.storage.hub_connection import (
    CommitConflict,
    HubConnection,
    HubRepository,
    RepositoryMissing,
)
from serve_app.storage.port import StoredFile

_DATASET = "dataset"
_MOST_COMMITS = 5
_Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete


class HubStorage:
    """The files of a dataset repository, which is made, and public, at the first `put`.

    Each `put`, `copy` and `delete` is a commit; the Hub limits how many there are in an
    hour. Other files of the repository, such as `.gitattributes`, are no keys and are
    not listed. `sleep` is called between commits that were refused.
    """

    def __init__(
        self, repository: HubRepository, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._repository = repository
        self._connection = HubConnection(repository)
        self._api = self._connection.api
        self._sleep = sleep
        self._is_public: bool | None = None

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key` atomically."""
        keys.checked(key)
        added = CommitOperationAdd(key, str(path.resolve(strict=True)))
        try:
            self._commit(key, added, f"Add {key}")
        except RepositoryMissing:
            self._create()
            self._commit(key, added, f"Add {key}")

    def copy(self, source: str, key: str) -> None:
        """Let the Hub copy `source` to `key`; FileNotFoundError if it is missing."""
        self.stat(source)
        keys.checked(key)
        self._commit(key, CommitOperationCopy(source, key), f"Copy {source} to {key}")

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if it is missing."""
        keys.checked(key)
        keys.check_range(start, end)
        if start == end:
            self.stat(key)
            return iter(())
        response = self._connection.get(key, start, end)
        if response is None:
            return iter(())
        return self._connection.chunks(key, response, start, end)

    def stat(self, key: str) -> StoredFile:
        """Return the size and time of `key`; FileNotFoundError if it is missing."""
        found = self._found(keys.checked(key))
        if not isinstance(found, RepoFile):
            raise FileNotFoundError(2, "there is no such file", key)
        return _described(found)

    def link(
        self, key: str, disposition: str, media_type: str, seconds: int
    ) -> str | None:
        """Return the URL of `key`, without an end; None if the dataset is private.

        The Hub itself decides its Content-Disposition and its Content-Type.
        """
        if self._is_public is None:
            with self._connection.translated(key):
                info = self._api.repo_info(self._repository.id, repo_type=_DATASET)
            self._is_public = not info.private
        return self.direct_url(key) if self._is_public else None

    def direct_url(self, key: str) -> str:
        """Return the URL of `key` for anybody, if the dataset is public."""
        return self._repository.url(keys.checked(key))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix`, or all files if it is empty."""
        folder = keys.folder(prefix) if prefix else ""
        return (
            _described(file)
            for file in self._tree(folder, is_dated=True)
            if _is_key(file.path)
        )

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix`, or all files in the folder `prefix`, if any.

        Large files are deleted from the history too, where they could still be read.
        """
        name = keys.folder(prefix)
        found = self._found(name)
        if found is None:
            return
        is_file = isinstance(found, RepoFile)
        self._purge([found] if isinstance(found, RepoFile) else [*self._tree(name)])
        if self._found(name) is not None:
            gone = CommitOperationDelete(name, is_folder=not is_file)
            # It may have been deleted meanwhile.
            with suppress(FileNotFoundError):
                self._commit(name, gone, f"Delete {name}")

    def _create(self) -> None:
        with self._connection.translated(""):
            self._api.create_repo(
                self._repository.id, repo_type=_DATASET, private=False, exist_ok=True
            )

    def _commit(self, key: str, operation: _Operation, summary: str) -> None:
        """Commit a change; commit it again if another commit came between."""
        for attempt in range(_MOST_COMMITS):
            try:
                with self._connection.translated(key):
                    self._api.create_commit(
                        self._repository.id,
                        [operation],
                        commit_message=summary,
                        repo_type=_DATASET,
                    )
                return
            except CommitConflict:
                if attempt == _MOST_COMMITS - 1:
                    raise
                self._sleep(2.0**attempt)

    def _found(self, key: str) -> RepoFile | RepoFolder | None:
        """Return the file or the folder `key`, or None."""
        try:
            with self._connection.translated(key):
                found = self._api.get_paths_info(
                    self._repository.id, [key], expand=True, repo_type=_DATASET
                )
        except RepositoryMissing:
            return None
        return found[0] if found else None

    def _tree(self, folder: str, *, is_dated: bool = False) -> Iterator[RepoFile]:
        """Yield the files in a folder, with the times of their commits if `is_dated`.

        With them the Hub takes longer.
        """
        is_absent = suppress(FileNotFoundError, RepositoryMissing)
        with is_absent, self._connection.translated(folder):
            for entry in self._api.list_repo_tree(
                self._repository.id,
                folder or None,
                recursive=True,
                expand=is_dated,
                repo_type=_DATASET,
            ):
                if isinstance(entry, RepoFile):
                    yield entry

    def _purge(self, files: Sequence[RepoFile]) -> None:
        """Delete for ever the content of large `files` that no other file has."""
        names = {file.path for file in files}
        kept = {
            file.lfs.sha256
            for file in self._tree("")
            if file.lfs is not None and file.path not in names
        }
        hashes = {file.lfs.sha256 for file in files if file.lfs is not None}
        with self._connection.translated(""):
            gone = [
                each
                for each in self._api.list_lfs_files(
                    self._repository.id, repo_type=_DATASET
                )
                if (each.file_oid in hashes or each.filename in names)
                and each.file_oid not in kept
            ]
            self._api.permanently_delete_lfs_files(
                self._repository.id, gone, repo_type=_DATASET
            )


def _described(file: RepoFile) -> StoredFile:
    if file.last_commit is None:
        raise StorageUnavailable(f"The Hub does not say when {file.path} was stored.")
    return StoredFile(file.path, file.size, file.last_commit.date)


def _is_key(path: str) -> bool:
    try:
        keys.checked(path)
    except ValueError:
        return False
    return True
