"""Jobs that clients wait for: one question to the database for all of them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Generic, Protocol, TypeVar

from serve_app.api.threads import run_in_thread
from serve_app.errors import Unavailable
from serve_app.jobs.job import AnyJob
from serve_app.stems import view

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2


J = TypeVar("J", bound=AnyJob)
J_co = TypeVar("J_co", bound=AnyJob, covariant=True)


class Finder(Protocol[J_co]):
    """Where jobs are looked up."""

    def find(self, job_ids: Collection[str]) -> Mapping[str, J_co]:
        """Return, by id, those of some jobs that there are."""


class JobWatch(Generic[J]):
    """Tells whoever waits for a job when it changes; costs nothing while nobody does.

    `jobs` is asked every 0.2 s, for all that are waited for at once.
    """

    def __init__(self, jobs: Finder[J]) -> None:
        self._jobs = jobs
        self._waiting: dict[str, set[asyncio.Queue[J | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def until_over(self, job: J, seconds: float) -> J:
        """Return the job once it is over, or as it is after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), aclosing(self.changes(job)) as changes:
                async for changed in changes:
                    job = changed
                    if view.is_over(job):
                        break
        return job

    async def changes(
        self, job: J, repeat_seconds: float = inf
    ) -> AsyncGenerator[J, None]:
        """Yield the job each time it differs from what was known of it; ends with it.

        One that is deleted meanwhile is yielded as cancelled. After so many seconds
        without a change it is yielded again. Close it, so that nobody asks for the job
        any more.
        """
        queue: asyncio.Queue[J | None] = asyncio.Queue()
        self._waiting.setdefault(job.id, set()).add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask())
        known, told_at = job, monotonic()
        try:
            while (found := await queue.get()) is not None:
                if found != known or monotonic() - told_at >= repeat_seconds:
                    yield found
                    known, told_at = found, monotonic()
            if not view.is_over(known):
                yield replace(known, cancel_requested=True)
        finally:
            self._waiting[job.id].discard(queue)
            if not self._waiting[job.id]:
                del self._waiting[job.id]

    async def _ask(self) -> None:
        """Hand out what the database says, as long as anybody waits."""
        while self._waiting:
            asked = list(self._waiting)
            try:
                found = await run_in_thread(self._jobs.find, asked)
            except Unavailable as err:
                # Those who wait have a limit of their own, and then ask themselves.
                logger.warning("jobs that are waited for can't be looked at: %s", err)
            else:
                for job_id in asked:
                    for queue in self._waiting.get(job_id, ()):
                        queue.put_nowait(found.get(job_id))
            await asyncio.sleep(POLL_SECONDS)
