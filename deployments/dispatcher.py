"""The dispatcher on Serve: claims jobs and pushes them to the pools."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from deployments import isolation, replica_ports
from deployments.failures import cause_of, value_of
from deployments.files import direct_uploads, file_storage
from deployments.heartbeats import HeartbeatsStoppedError, watched
from deployments.logs import configure_logging
from deployments.wiring import (
    database,
    now,
    separation_kind,
    webhook_sender,
)
from serve_app import reports
from serve_app.errors import AppError, StorageUnavailable
from serve_app.idempotency.store import Answers
from serve_app.jobs.dispatcher import Dispatcher, DispatchPolicy
from serve_app.jobs.expiry import Expiry
from serve_app.jobs.log import quoted
from serve_app.jobs.runner import Event, Finished, PoolAway, ReplicaDied, Started
from serve_app.jobs.store import JobStore
from serve_app.jobs.table import known_ids
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.stems.kind import FOLDERS
from serve_app.stems.request import SeparationJob
from serve_app.stems.reuse import Reuse
from serve_app.storage.port import UPLOADS
from serve_app.webhooks.outbox import Outbox
from serve_app.working import sweep

logger = logging.getLogger(__name__)

# How often /health's picture of the pools is renewed, and until there is one.
_DESCRIBE_SECONDS = 10.0
_FIRST_DESCRIBE_SECONDS = 1.0
_DESCRIBE_TIMEOUT_SECONDS = 2.0
_SWEEP_SECONDS = 5.0
_ORPHAN_ROUNDS = 2
# How long an analysis waits for a store that is away or full, and between its tries.
_ANALYSIS_PATIENCE_SECONDS = 60.0
_ANALYSIS_PAUSE_SECONDS = 5.0
# Where Serve keeps the actors of its replicas.
_SERVE_NAMESPACE = "serve"
# New jobs wake their dispatcher; this finds retries, and what a dead one has left.
_POLL_SECONDS = 2.0


class PoolRunner:
    """Runs a job on the pools, both halves at once, and speaks of failures as ours.

    A separator that hangs is killed: else it would keep its device, and its songs.
    """

    def __init__(
        self,
        separator: DeploymentHandle,
        analyzer: DeploymentHandle,
        heartbeat_timeout_seconds: float,
    ) -> None:
        self._separator = separator.options(stream=True)
        self._analyzer = analyzer
        self._timeout_seconds = heartbeat_timeout_seconds

    async def __call__(self, job: SeparationJob) -> AsyncGenerator[Event, None]:
        """Yield the job's events; the last one holds stems and analysis."""
        began_seconds = time.monotonic()
        analysis = asyncio.ensure_future(self._analyze(job))
        beside_seconds: dict[str, float] = {}
        analysis.add_done_callback(
            lambda _: beside_seconds.update(analyze=time.monotonic() - began_seconds)
        )
        stream = self._separator.separate.remote(job)
        replica = ""
        try:
            async for event in watched(stream, self._timeout_seconds):
                match value_of(event):
                    case Started() as started:
                        replica = started.replica
                        yield started
                    case Finished(result):
                        stored_seconds = time.monotonic()
                        found = replace(result, **await analysis)
                        waited_seconds = time.monotonic() - stored_seconds
                        yield Finished(found, beside_seconds, waited_seconds)
                    case other:
                        yield other
        except HeartbeatsStoppedError as error:
            logger.error("separator hangs and is killed replica=%s: %s", replica, error)
            await asyncio.to_thread(_kill, replica)
            raise ReplicaDied(f"The separator hung: {error}.") from error
        except (RayActorError, WorkerCrashedError) as error:
            raise ReplicaDied(str(error)) from error
        except RayTaskError as error:
            raise cause_of(error) from error
        except (RayError, RayServeException) as error:
            raise PoolAway(f"the separators did not answer: {error}") from error
        finally:
            analysis.cancel()
            stream.cancel()

    async def _analyze(self, job: SeparationJob) -> Mapping[str, Any]:
        """Return the analysis half of the result; stems are not lost for want of it."""
        try:
            return {"analysis": reports.summary(await self._analysis(job))}
        except (RayError, RayServeException, AppError) as error:
            reason = str(cause_of(error)).splitlines()[0]
            logger.warning("analysis failed job=%s error=%s", job.id, quoted(reason))
            return {"analysis_error": reason}

    async def _analysis(self, job: SeparationJob) -> Mapping[str, Any]:
        """Return the analysis of a song; a store that is away is asked for a minute."""
        request = reports.of_song(job)
        until_seconds = time.monotonic() + _ANALYSIS_PATIENCE_SECONDS
        while True:
            answer = self._analyzer.of_song.remote(request)
            try:
                analysis: Mapping[str, Any] = value_of(await answer)
                return analysis
            except StorageUnavailable:
                if time.monotonic() > until_seconds:
                    raise
            finally:
                answer.cancel()
            await asyncio.sleep(_ANALYSIS_PAUSE_SECONDS)


def _kill(replica: str) -> None:
    """End a replica's process at once; Serve starts another one."""
    # Another job on it may have found out first.
    with suppress(ValueError, RayError):
        ray.kill(ray.get_actor(replica, _SERVE_NAMESPACE))


class DispatcherReplica:
    """Owns the loop that dispatches, and the sweep of what has expired."""

    def __init__(
        self,
        settings: Settings,
        in_flight: int,
        of_one_kind: int,
        separator: DeploymentHandle,
        analyzer: DeploymentHandle,
    ) -> None:
        replica_ports.keep_from_network()
        configure_logging(settings)
        isolation.warn_of_open_ray()
        shared = database(settings)
        self._outbox = Outbox(shared, now)
        store = JobStore(shared, now, separation_kind(settings), self._outbox.post)
        storage = file_storage(settings)
        self._separator = separator
        self._pools: Mapping[str, Any] = {}
        self._expiry = Expiry(store, storage)
        self._uploads = direct_uploads(settings)
        self._dispatcher = Dispatcher(
            store,
            PoolRunner(separator, analyzer, settings.heartbeat_timeout_seconds),
            owner=uuid4().hex,
            policy=DispatchPolicy(
                lease_seconds=settings.lease_seconds,
                renew_seconds=settings.lease_seconds / 3,
                in_flight=in_flight,
                of_one_kind=of_one_kind,
                poll_seconds=_POLL_SECONDS,
            ),
            reuse=Reuse(store, storage, now, settings.allowed_licences).result,
            discard=self._expiry.discard,
        )
        self._answers = Answers(shared, now)
        self._sender = webhook_sender(settings, self._outbox)
        # Serve calls constructors on the replica's event loop.
        self._tasks = [
            asyncio.ensure_future(self._dispatcher.run_forever()),
            asyncio.ensure_future(self._sender.run_forever()),
            asyncio.ensure_future(self._describe_forever()),
            asyncio.ensure_future(self._sweep_forever(settings)),
        ]
        # Half of what starting took is free by now.
        allocator.give_back()

    async def wake(self) -> None:
        """Look for new jobs at once."""
        self._dispatcher.wake()

    async def stop(self, job_id: str) -> None:
        """Stop a job that was cancelled, if it runs for this dispatcher."""
        self._dispatcher.stop(job_id)

    async def status(self) -> Mapping[str, Any]:
        """Return what the pools last said and what is in flight, for /health."""
        status = self._dispatcher.status()
        return {
            **self._pools,
            "dispatcher": {**status, "webhooks": self._sender.status()},
        }

    async def _describe_forever(self) -> None:
        """Keep the picture of the separators fresh, busy as they may be."""
        while True:
            self._pools = await self._describe()
            is_ready = self._pools.get("ready", False)
            await asyncio.sleep(
                _DESCRIBE_SECONDS if is_ready else _FIRST_DESCRIBE_SECONDS
            )

    async def _sweep_forever(self, settings: Settings) -> None:
        """Delete what has expired, often, and what nobody owns, now and then."""
        rounds = 0
        while True:
            try:
                await asyncio.to_thread(self._expiry.sweep)
                if rounds % _ORPHAN_ROUNDS == 0:
                    # What a killed replica left goes even if no other job comes.
                    await asyncio.to_thread(sweep, settings.working_dir)
                    await asyncio.to_thread(self._sweep_orphans, settings)
                    await asyncio.to_thread(self._outbox.sweep, known_ids())
                    await asyncio.to_thread(self._answers.sweep)
            except Exception:
                # The sweep must go on: the database or the store may come back.
                logger.exception("a sweep failed; the next one tries again")
            rounds += 1
            await asyncio.sleep(_SWEEP_SECONDS)

    def _sweep_orphans(self, settings: Settings) -> None:
        grace_seconds = settings.orphan_grace_seconds
        if self._uploads is None:
            self._expiry.sweep_orphans(grace_seconds)
            return
        # On S3 a file is as old as its upload, which may have taken long.
        before = now() - timedelta(seconds=grace_seconds + self._uploads.seconds)
        self._uploads.sweep(before, FOLDERS)
        more_seconds = {UPLOADS: self._uploads.seconds}
        self._expiry.sweep_orphans(grace_seconds, more_seconds)

    async def _describe(self) -> Mapping[str, Any]:
        try:
            separator = await asyncio.wait_for(
                self._separator.describe.remote(), _DESCRIBE_TIMEOUT_SECONDS
            )
        except (TimeoutError, RayError, RayServeException) as error:
            reason = f"no separator answers ({type(error).__name__})"
            return {**self._pools, "ready": False, "reason": reason}
        return {"ready": True, **separator}

    async def check_health(self) -> None:
        """Raise when a loop has ended, so that Serve starts this replica anew."""
        for task in self._tasks:
            if task.done():
                await task

    async def __del__(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._dispatcher.shutdown()
        # The sender sees through what it has begun.
        await asyncio.wait(self._tasks)
