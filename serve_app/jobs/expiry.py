"""Deletion of expired jobs of a kind: their files first, then their rows."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from serve_app.errors import Unavailable
from serve_app.jobs import log
from serve_app.jobs.job import AnyJob
from serve_app.jobs.store import JobStore
from serve_app.storage.port import Storage, StoredFile

logger = logging.getLogger(__name__)

# The folder in which stores keep incomplete files.
_PARTIAL = "partial"
_BATCH = 100
# Databases limit the number of values in one statement.
_FOUND_AT_ONCE = 500
_NONE: Mapping[str, float] = {}


class Expiry:
    """Deletes from `store` and `storage` the jobs of a kind that have expired."""

    def __init__(
        self,
        store: JobStore[Any, Any],
        storage: Storage,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock

    def sweep(self) -> int:
        """Delete all expired jobs with their files; return how many.

        A job whose files can't be deleted keeps its row, and so does one whose
        deletion a crash interrupts: the next sweep tries again.
        """
        swept = 0
        while due := self._store.due_for_expiry(_BATCH):
            gone = sum(self.expire(job) for job in due)
            swept += gone
            if gone < len(due):
                break
        return swept

    def expire(self, job: AnyJob) -> bool:
        """Delete the files of a `job` that has ended, then its row.

        Returns False and keeps the row if the files can't be deleted now.
        """
        try:
            for folder in self._store.kind.folders:
                self._storage.delete(f"{folder}/{job.id}")
        except Unavailable as err:
            logger.warning(
                "files not deleted yet job=%s error=%s", job.id, log.quoted(str(err))
            )
            return False
        self._store.remove(job.id)
        return True

    def discard(self, job: AnyJob) -> None:
        """Delete the working files of a `job` that ended without a result."""
        for folder in self._store.kind.working_folders:
            self._storage.delete(f"{folder}/{job.id}")

    def sweep_orphans(
        self, older_than_seconds: float, more_seconds: Mapping[str, float] = _NONE
    ) -> int:
        """Delete files without a job, and files that their job does not need any more.

        Files stored less than `older_than_seconds` ago are kept: their row may not be
        written yet. `more_seconds` adds to that for some folders. Returns the number of
        deleted files.
        """
        before = self._clock() - timedelta(seconds=older_than_seconds)
        orphans = self._old(_PARTIAL, before)
        for folder in self._store.kind.folders:
            more = timedelta(seconds=more_seconds.get(folder, 0.0))
            files = defaultdict(list)
            for file in self._old(folder, before - more):
                files[file.key.split("/")[1]].append(file)
            of_all = list(files)
            for start in range(0, len(of_all), _FOUND_AT_ONCE):
                job_ids = of_all[start : start + _FOUND_AT_ONCE]
                found = self._store.find(job_ids)
                orphans += [
                    file
                    for job_id in job_ids
                    for file in files[job_id]
                    if not self._is_wanted(file, found.get(job_id))
                ]
        for file in orphans:
            self._storage.delete(file.key)
        return len(orphans)

    def _old(self, folder: str, before: datetime) -> list[StoredFile]:
        files = self._storage.list(folder)
        return [file for file in files if file.modified_at < before]

    def _is_wanted(self, file: StoredFile, job: AnyJob | None) -> bool:
        return job is not None and self._store.kind.is_wanted(job, file.key)
