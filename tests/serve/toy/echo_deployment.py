"""The deployments of the toy system: one pool."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import ray
from echo import kind, routes
from echo.kind import FOLDER, NAME, Echo, EchoJob
from echo.routes import EchoServices

from deployments.files import file_storage
from deployments.heartbeats import Heartbeat
from deployments.kernel import Kernel
from deployments.pool import Pool, Strict, bind
from deployments.pools import events_of
from deployments.system import Calls, DispatcherPart, Handles, Pools
from serve_app.api.part import ApiPart
from serve_app.jobs.runner import Finished, Progress, Started
from serve_app.settings import Settings

RETENTION_SECONDS = 4.0
TIMEOUT_SECONDS = 10.0


class Parrot:
    """The pool: returns texts unchanged."""

    def __init__(self, settings: Settings) -> None:
        self._storage = file_storage(settings)
        self._actor = str(ray.get_runtime_context().get_actor_name())

    def pid(self) -> int:
        """Return the process id, for tests that kill the process."""
        return os.getpid()

    async def speak(
        self, job: EchoJob
    ) -> AsyncIterator[Started | Progress | Heartbeat | Finished]:
        """Yield the progress of a job, and finally the text."""
        yield Started(self._actor)
        began_seconds = time.time()
        yield Progress("think", 0.0)
        left_seconds = job.request.seconds
        while left_seconds > 0:
            await asyncio.sleep(0.1)
            left_seconds -= 0.1
            yield Heartbeat()
        yield Progress("speak", 0.5)
        yield Finished(await asyncio.to_thread(self._stored, job, began_seconds))

    def _stored(self, job: EchoJob, began_seconds: float) -> Echo:
        key = f"{FOLDER}/{job.id}/text"
        with TemporaryDirectory() as directory:
            path = Path(directory) / "text"
            path.write_text(job.request.text)
            self._storage.put(key, path)
        return Echo(job.request.text, key, began_seconds, time.time())


class EchoArgs(Strict):
    """The section of the toy in a Serve config."""

    parrot: Pool = Pool()


@dataclass(frozen=True)
class EchoSystem:
    """A system that returns texts unchanged."""

    Args: ClassVar[type[EchoArgs]] = EchoArgs

    args: EchoArgs

    def pools(self, settings: Settings) -> Pools:
        """Return the bound pool."""
        return {"parrot": bind(Parrot, self.args.parrot, settings)}

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return the routes and their services."""
        store = kernel.store(kind.kind(RETENTION_SECONDS))
        wake, stop = partial(calls.wake, NAME), partial(calls.stop, NAME)
        return routes.part(EchoServices(store, wake, stop))

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return the dispatcher and the sweep of expired jobs."""
        store = kernel.store(kind.kind(RETENTION_SECONDS))
        parrot = handles["parrot"].options(stream=True)
        expiry = kernel.expiry(store)
        dispatcher = kernel.dispatcher(
            store,
            lambda job: events_of(parrot.speak.remote(job), TIMEOUT_SECONDS),
            in_flight=4,
            discard=expiry.discard,
        )
        return DispatcherPart(
            dispatchers=(dispatcher,), sweeps={"expired jobs": expiry.sweep}
        )


SYSTEM = EchoSystem
