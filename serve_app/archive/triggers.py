"""Media that is asked for: by the API server, by newer clients, and once more."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from serve_app.archive.kind import Fetch, Stored
from serve_app.archive.media import Asked, Known, Media, MediaStore
from serve_app.archive.sources import Sources
from serve_app.errors import AppError, JobNotFound, NotReady
from serve_app.jobs.job import Job, State
from serve_app.jobs.store import JobStore

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 100


@dataclass(frozen=True)
class Triggers:
    """Adds the jobs that fetch media; methods block, and raise Unavailable."""

    jobs: JobStore[Fetch, Stored]
    media: MediaStore
    sources: Sources
    clock: Callable[[], datetime]

    def add(self, fetch: Fetch, tenant: str = "", client: str = "") -> Known | None:
        """Add a job, and return None; or return the state of media that needs none.

        The URL is kept in either case, for the next attempt. Raises NotAllowed and
        RefusedUrl for a source that is not allowed, MediaBlocked, and QueueFull.
        """
        host = self.sources.checked(fetch.url).host
        now = self.clock()
        job = Job[Fetch, Stored](
            uuid4().hex,
            fetch,
            State.QUEUED,
            created_at=now,
            updated_at=now,
            tenant=tenant,
            client=client,
            cost_seconds=1.0,
            lane=host,
        )
        return self.jobs.add(job, Asked(fetch, job.id))

    def retry_due(self) -> int:
        """Add a job for media whose last one failed a while ago; return how many."""
        return sum(map(self._again, self.media.due(_MOST_AT_ONCE)))

    def retry_failed(self, host: str, before: datetime, limit: int) -> int:
        """Add a job for media that failed; return how many."""
        return sum(map(self._again, self.media.failed(host, before, limit)))

    def cancel(self, media: Media) -> None:
        """Cancel the job of media, if it has one that has not ended."""
        if media.job_id is not None:
            with suppress(JobNotFound, NotReady):
                self.jobs.cancel(media.job_id)

    def _again(self, media: Media) -> bool:
        try:
            return self.add(Fetch(media.key, media.url, media.identity)) is None
        except AppError as err:
            if err.retryable:
                raise
            logger.warning("media given up key=%s error=%s", media.key, err.detail)
            self.media.give_up(media.key, err)
            return False
