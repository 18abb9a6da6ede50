"""The pool that separates songs: one engine per replica, several songs at once."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from threading import Event
from typing import Any

import ray
from ray import serve

from deployments import memory, niceness, nodes, replica_ports, tracing
from deployments.files import file_storage
from deployments.heartbeats import Heartbeat, period_seconds
from deployments.logs import configure_logging
from deployments.ray_errors import Failed
from deployments.ray_meter import RayMeter
from deployments.thread_events import Report, events_of_thread
from serve_app.jobs.runner import Finished, Progress, Started
from serve_app.settings import Settings
from serve_app.stems.request import Result, SeparationJob
from serve_app.telemetry import log_context
from serve_app.telemetry.batch_fill import BatchFill, BatchFillFacts
from serve_app.telemetry.meter import RENEW_SECONDS
from serve_app.telemetry.recorder import Recorder

logger = logging.getLogger(__name__)

# An analysis starts with the separation and mostly ends first. If it does not, as on a
# fast device, stem tags wait this long for it; the job waits for it in any case.
_REPORT_TIMEOUT_SECONDS = 2.0


class Separator:
    """Separates the song of a job into stem files. Gets storage keys, never audio."""

    def __init__(self, settings: Settings) -> None:
        # Imported here, so that binding the pool does not load torch.
        from serve_app.stems.engines import EngineShelf
        from serve_app.stems.work import SongWorker

        # Threads have the niceness of the one that starts them.
        os.nice(niceness.SEPARATION)
        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        meter = RayMeter()
        self._recorder = Recorder(meter)
        self._traces = tracing.traces(settings, meter)
        self._batch_fill = BatchFill()
        self._engines = EngineShelf(settings, self._batch_computed)
        storage = file_storage(settings, self._recorder.storage_failed)
        self._worker = SongWorker(
            *(self._engines, storage, settings.working_dir, settings.keep_windows),
            _REPORT_TIMEOUT_SECONDS,
        )
        # One more than `songs_at_once`; see `DispatchPolicy`.
        self._threads = ThreadPoolExecutor(
            settings.songs_at_once + 1, thread_name_prefix="song"
        )
        self._replica = serve.get_replica_context().replica_id.unique_id
        self._actor = str(ray.get_runtime_context().get_actor_name())
        self._period_seconds = period_seconds(settings.heartbeat_timeout_seconds)
        # Serve calls constructors on the replica's event loop.
        self._gauges = asyncio.ensure_future(self._keep_gauges())
        memory.keep_giving_back()

    def describe(self) -> dict[str, Any]:
        """Return the loaded model and device, for /health."""
        return {"replica": self._replica, **self._engines.describe()}

    def batch_fill(self) -> BatchFillFacts:
        """Return how full the batches of the last minutes were, for /operations."""
        return self._batch_fill.facts()

    async def separate(
        self, job: SeparationJob
    ) -> AsyncIterator[Started | Progress | Heartbeat | Finished | Failed]:
        """Yield the progress of a job, and finally its result or its error.

        Yields a heartbeat after each period without an event. Closing the iterator, as
        a cancelled call does, stops the engine between two batches and deletes the
        job's working files.
        """
        yield Started(self._actor)
        work = partial(self._separate, job)
        reported = events_of_thread(work, self._threads, self._period_seconds)
        async with aclosing(reported) as events:
            async for event in events:
                yield event

    def _separate(self, job: SeparationJob, report: Report, cancelled: Event) -> Result:
        bound = log_context.bound(job.id, job.request_id)
        with bound, self._traces.stages(job) as stages:
            began_seconds = time.monotonic()
            logger.info("separation started job=%s attempt=%d", job.id, job.attempt)
            result = self._worker.run(job, stages.over(report), cancelled)
            logger.info(
                "separation ended job=%s attempt=%d took=%.1fs",
                *(job.id, job.attempt, time.monotonic() - began_seconds),
            )
            return result

    def _batch_computed(self, fill_ratio: float, seconds: float) -> None:
        self._recorder.batch_computed(fill_ratio, seconds)
        self._batch_fill.add(fill_ratio)

    async def _keep_gauges(self) -> None:
        """Set the gauges again and again: Ray forgets them."""
        from serve_app.separation.backends import devices

        while True:
            self._recorder.device_memory(devices.memory_bytes())
            await asyncio.sleep(RENEW_SECONDS)
