"""The end of jobs: their files go first, then their rows."""

import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from serve_app.errors import JobNotFound, Unavailable
from serve_app.jobs.job import FOLDERS, PARTS, STEMS, UPLOADS, Job, State
from serve_app.jobs.store import JobStore
from serve_app.storage.port import DirectUploads, Storage, StoredFile

logger = logging.getLogger(__name__)

# Where stores keep what is half written.
_PARTIAL = "partial"
_BATCH = 100


class Expiry:
    """Deletes from `store` and `storage` what nobody may see any more.

    And `uploads` that were begun and never used, where there are such.
    """

    def __init__(
        self,
        store: JobStore,
        storage: Storage,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        uploads: DirectUploads | None = None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock
        self._uploads = uploads

    def sweep(self) -> int:
        """Delete all jobs whose time is up, with their files; return how many.

        What a crash interrupts, the next sweep finishes: the row goes last. A job whose
        files can't be deleted now is left to it as well.
        """
        swept = 0
        while due := self._store.due_for_expiry(_BATCH):
            gone = sum(self.expire(job) for job in due)
            swept += gone
            if gone < len(due):
                break
        return swept

    def expire(self, job: Job) -> bool:
        """Delete the files of a `job` that has ended, then its row.

        False when the files can't be deleted now; the row then stays.
        """
        try:
            for folder in FOLDERS:
                self._storage.delete(f"{folder}/{job.id}")
        except Unavailable as err:
            logger.warning("files not deleted yet job=%s: %s", job.id, err)
            return False
        self._store.remove(job.id)
        return True

    def discard(self, job: Job) -> None:
        """Delete what attempts have left of a `job` that ended without a result."""
        for folder in (PARTS, STEMS):
            self._storage.delete(f"{folder}/{job.id}")

    def sweep_orphans(self, older_than_seconds: float) -> int:
        """Delete files that belong to no job, or to no attempt that counts.

        Those stored less than `older_than_seconds` ago are spared: their row may be on
        its way. Returns how many files were deleted.
        """
        before = self._clock() - timedelta(seconds=older_than_seconds)
        uploaded_before = self._sweep_uploads(before)
        orphans = self._old(_PARTIAL, before)
        for folder in FOLDERS:
            files = defaultdict(list)
            for file in self._old(
                folder, uploaded_before if folder == UPLOADS else before
            ):
                files[file.key.split("/")[1]].append(file)
            for job_id, group in files.items():
                job = self._find(job_id)
                orphans += [file for file in group if not _is_wanted(file, job)]
        for file in orphans:
            self._storage.delete(file.key)
        return len(orphans)

    def _sweep_uploads(self, before: datetime) -> datetime:
        """Delete unfinished uploads; return how old a finished one must be to go.

        On S3 a file is as old as its upload, which may have taken long.
        """
        if self._uploads is None:
            return before
        begun_before = before - timedelta(seconds=self._uploads.seconds)
        self._uploads.sweep(begun_before)
        return begun_before

    def _old(self, folder: str, before: datetime) -> list[StoredFile]:
        files = self._storage.list(folder)
        return [file for file in files if file.modified_at < before]

    def _find(self, job_id: str) -> Job | None:
        try:
            return self._store.get(job_id)
        except JobNotFound:
            return None


def _is_wanted(file: StoredFile, job: Job | None) -> bool:
    if job is None:
        return False
    if file.key.startswith(f"{PARTS}/"):
        return not job.state.is_final
    if not file.key.startswith(f"{STEMS}/"):
        return True
    has_stems = job.state in (State.RUNNING, State.SUCCEEDED)
    return has_stems and file.key.startswith(f"{STEMS}/{job.id}/{job.attempt}/")
