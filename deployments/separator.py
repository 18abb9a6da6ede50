"""The pool that separates songs: one engine per replica, several songs at once."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import ray
from ray import serve

from deployments import replica_ports
from deployments.files import file_storage
from deployments.heartbeats import Heartbeat, period_seconds
from deployments.logs import configure_logging
from deployments.ray_errors import Failed
from serve_app.errors import AppError
from serve_app.jobs.runner import Finished, Progress, Started
from serve_app.settings import Settings
from serve_app.stems.request import SeparationJob, Stage

# An analysis starts with the separation and mostly ends first. If it does not, as on a
# fast device, stem tags wait this long for it; the job waits for it in any case.
_REPORT_TIMEOUT_SECONDS = 2.0


class Separator:
    """Separates the song of a job into stem files. Gets storage keys, never audio."""

    def __init__(self, settings: Settings) -> None:
        # Imported here, so that binding the pool does not load torch.
        from serve_app.stems.engines import EngineShelf
        from serve_app.stems.work import SongWorker

        replica_ports.keep_from_network()
        configure_logging(settings)
        self._engines = EngineShelf(settings)
        storage = file_storage(settings)
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

    def describe(self) -> dict[str, Any]:
        """Return the loaded model and device, for /health."""
        return {"replica": self._replica, **self._engines.describe()}

    async def separate(
        self, job: SeparationJob
    ) -> AsyncIterator[Started | Progress | Heartbeat | Finished | Failed]:
        """Yield the progress of a job, and finally its result or its error.

        Yields a heartbeat after each period without an event. Closing the iterator, as
        a cancelled call does, stops the engine between two batches and deletes the
        job's working files.
        """
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Progress] = asyncio.Queue()
        cancelled = Event()

        def report(stage: Stage, fraction: float) -> None:
            loop.call_soon_threadsafe(events.put_nowait, Progress(stage, fraction))

        yield Started(self._actor)
        song = loop.run_in_executor(
            self._threads, self._worker.run, job, report, cancelled
        )
        try:
            async for event in _until(song, events, self._period_seconds):
                yield event
            yield Finished(await song)
        except AppError as error:
            yield Failed(error)
        finally:
            # Wait for the thread, so that draining waits too and its files are deleted.
            cancelled.set()
            await asyncio.wait({song})
            if not song.cancelled():
                song.exception()  # Marks it as retrieved: the caller is gone.


async def _until(
    song: asyncio.Future[Any], events: asyncio.Queue[Progress], period_seconds: float
) -> AsyncIterator[Progress | Heartbeat]:
    """Yield events until the song is done, and a heartbeat per period without one."""
    while not song.done():
        getter = asyncio.ensure_future(events.get())
        try:
            done, _ = await asyncio.wait(
                {song, getter},
                timeout=period_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if getter in done:
                yield getter.result()
            elif not done:
                yield Heartbeat()
        finally:
            getter.cancel()
