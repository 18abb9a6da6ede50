"""Jobs that clients wait for, polled with one query for all of them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Generic, Protocol, TypeVar

from serve_app.api.threads import run_in_thread
from serve_app.errors import Unavailable
from serve_app.jobs.job import AnyJob
from serve_app.stems import view

logger = logging.getLogger(__name__)

# Raises TimeoutError in its block after some seconds, or earlier.
Within = Callable[[float], AbstractAsyncContextManager[object]]

POLL_SECONDS = 0.2


J = TypeVar("J", bound=AnyJob)
J_co = TypeVar("J_co", bound=AnyJob, covariant=True)


class Finder(Protocol[J_co]):
    """Read access to jobs."""

    def find(self, job_ids: Collection[str]) -> Mapping[str, J_co]:
        """Return the jobs with these ids, by id; unknown ids are left out."""


class JobWatch(Generic[J]):
    """Notify waiting requests when their jobs change.

    It polls `jobs` every 0.2 s with one query for all jobs, while any request waits.
    """

    def __init__(self, jobs: Finder[J]) -> None:
        self._jobs = jobs
        self._waiting: dict[str, set[asyncio.Queue[J | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def until_over(
        self, job: J, seconds: float, within: Within = asyncio.timeout
    ) -> J:
        """Return the job once it is over, or its state when `within` ends the wait."""
        with suppress(TimeoutError):
            async with within(seconds), aclosing(self.changes(job)) as changes:
                async for changed in changes:
                    job = changed
                    if view.is_over(job):
                        break
        return job

    async def changes(
        self, job: J, repeat_seconds: float = inf
    ) -> AsyncGenerator[J, None]:
        """Yield the job each time it changes, until it is deleted.

        A job that is deleted is yielded as cancelled. After `repeat_seconds` without a
        change, it is yielded again. Close the generator to stop polling for the job.
        """
        queue: asyncio.Queue[J | None] = asyncio.Queue()
        self._waiting.setdefault(job.id, set()).add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        known, yielded_at = job, monotonic()
        try:
            while (found := await queue.get()) is not None:
                if found != known or monotonic() - yielded_at >= repeat_seconds:
                    yield found
                    known, yielded_at = found, monotonic()
            if not view.is_over(known):
                yield replace(known, cancel_requested=True)
        finally:
            self._waiting[job.id].discard(queue)
            if not self._waiting[job.id]:
                del self._waiting[job.id]

    async def _poll(self) -> None:
        """Poll the jobs, and pass them to the waiting requests, while there are any."""
        while self._waiting:
            job_ids = list(self._waiting)
            try:
                found = await run_in_thread(self._jobs.find, job_ids)
            except Unavailable as err:
                # Waiting requests have their own timeouts.
                logger.warning("waiting jobs not polled jobs=%d: %s", len(job_ids), err)
            else:
                for job_id in job_ids:
                    for queue in self._waiting.get(job_id, ()):
                        queue.put_nowait(found.get(job_id))
            await asyncio.sleep(POLL_SECONDS)
