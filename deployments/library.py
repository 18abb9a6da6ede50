"""The library: its workers, its routes, its inlet and its dispatchers."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, ClassVar

import ray
from pydantic import ValidationInfo, field_validator
from ray.serve.handle import DeploymentHandle

from deployments import niceness, nodes, replica_ports, wiring
from deployments.files import bucket_objects
from deployments.heartbeats import Heartbeat, period_seconds
from deployments.kernel import Kernel
from deployments.logs import configure_logging
from deployments.pool import Pool, Strict, bind, over_defaults
from deployments.pools import events_of
from deployments.ray_errors import Failed
from deployments.system import Calls, DispatcherPart, Handles, Loop, Pools
from deployments.thread_events import Report, events_of_thread
from serve_app.api.part import ApiPart
from serve_app.jobs.job import State
from serve_app.jobs.runner import Finished, Progress, RunnerEvent, Started
from serve_app.library import channel, kinds
from serve_app.library.arrivals import Arrivals
from serve_app.library.channel import LibraryChannel
from serve_app.library.dead_letters import WEBHOOKS
from serve_app.library.http.part import LibraryServices, part
from serve_app.library.settings_rules import RULES
from serve_app.library.task import Done, LibraryJob, Stores
from serve_app.scaling.speed import Speed
from serve_app.settings import Settings
from serve_app.settings.check import Rule
from serve_app.telemetry import log_context
from serve_app.webhooks.sender import Sender

# More than the pool can run, or its autoscaler never sees that it is too small.
_BACKLOG = 2
# Tasks per second of a replica before any has ended.
_UNKNOWN_SPEED = 2.0


class LibraryWorker:
    """Does the work of the library's tasks, several at once."""

    def __init__(self, settings: Settings, at_once: int) -> None:
        # Imported late: a process that only binds the pool does not need it.
        from serve_app.library.known_files import KnownFiles
        from serve_app.library.work import Limits, Worker

        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        known = None
        if settings.library_dedup == "self":
            known = KnownFiles(wiring.database(settings), wiring.now)
        self._worker = Worker(
            bucket_objects(settings),
            settings.working_dir,
            Limits(
                max_file_bytes=settings.library_max_file_bytes,
                media_types=frozenset(settings.library_media_types),
                peaks=settings.library_peaks,
                mix_channels=1 if settings.library_mix == "mono" else 2,
                has_audiowaveform=settings.library_audiowaveform,
            ),
            known,
        )
        # Threads have the niceness of the one that starts them.
        os.nice(niceness.LIBRARY)
        self._threads = ThreadPoolExecutor(at_once, "library")
        self._actor = str(ray.get_runtime_context().get_actor_name())
        self._period_seconds = period_seconds(settings.heartbeat_timeout_seconds)

    async def run(
        self, job: LibraryJob
    ) -> AsyncIterator[Started | Progress | Heartbeat | Finished | Failed]:
        """Yield the progress of a job, and finally its result or its error."""
        yield Started(self._actor)
        work = partial(self._run, job)
        reported = events_of_thread(work, self._threads, self._period_seconds)
        async with aclosing(reported) as events:
            async for event in events:
                yield event

    def _run(self, job: LibraryJob, report: Report, cancelled: Event) -> Done:
        with log_context.bound(job.id, job.request_id):
            return self._worker.run(job, report, cancelled)


class LibraryRunner:
    """Runs a task on the workers, and measures their `speed` in tasks per second."""

    def __init__(self, workers: DeploymentHandle, pool: Pool, timeout: float) -> None:
        self._workers = workers.options(stream=True)
        self._at_once = pool.max_ongoing_requests
        self._timeout_seconds = timeout
        self.speed = Speed()

    async def __call__(self, job: LibraryJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the job's events; the last one has the result."""
        stream = self._workers.run.remote(job)
        async with aclosing(events_of(stream, self._timeout_seconds)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self.speed.add(1.0, event.result.seconds / self._at_once)
                yield event


class LibraryArgs(Strict):
    """The pool of the system."""

    worker: Pool = Pool(
        max_ongoing_requests=4,
        graceful_shutdown_timeout_s=120,
        env={"OPENBLAS_NUM_THREADS": "1"},
    )

    @field_validator("worker", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        return over_defaults(cls, given, info)


@dataclass(frozen=True)
class Library:
    """Hashes, analyses and mixes the files of a bucket."""

    Args: ClassVar[type[LibraryArgs]] = LibraryArgs
    settings_rules: ClassVar[Mapping[str, Rule]] = RULES

    args: LibraryArgs

    def pools(self, settings: Settings) -> Pools:
        """Return the workers, bound."""
        pool = self.args.worker
        return {
            "worker": bind(LibraryWorker, pool, settings, pool.max_ongoing_requests)
        }

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return the routes, and what they need."""
        stores = _stores(kernel)
        return part(
            LibraryServices(
                Arrivals(stores, kernel.clock),
                stores,
                wake=calls.wake,
                status=calls.status,
                failing=partial(kernel.outbox.failing, WEBHOOKS),
                probe=bucket_objects(kernel.settings).probe,
            )
        )

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return the inlet, the dispatchers and the senders."""
        settings, pool, stores = kernel.settings, self.args.worker, _stores(kernel)
        runner = LibraryRunner(
            handles["worker"], pool, settings.heartbeat_timeout_seconds
        )
        capacity = pool.most_replicas * pool.max_ongoing_requests
        dispatchers = {
            name: kernel.dispatcher(store, runner, in_flight=_BACKLOG * capacity)
            for name, store in stores.items()
            if name
        }

        def wake() -> None:
            for dispatcher in dispatchers.values():
                dispatcher.wake()

        demands = {}
        if pool.goal_seconds is not None:
            demand = _Demand(
                stores, runner.speed, pool.goal_seconds, _visible(settings)
            )
            demands[LibraryWorker.__name__] = demand
        return DispatcherPart(
            dispatchers=tuple(dispatchers.values()),
            loops=(_sender(kernel), *_queue_loops(kernel, stores, wake)),
            sweeps={
                f"expired {store.kind.name}": kernel.expiry(store).sweep
                for store in stores.values()
            },
            demands=demands,
        )


SYSTEM = Library


@dataclass(frozen=True)
class _Demand:
    """The replicas that all unfinished tasks need, and the messages that wait."""

    stores: Stores
    speed: Speed
    goal_seconds: float
    visible: Callable[[], int]

    def __call__(self) -> float:
        unfinished = (State.QUEUED, State.RUNNING)
        tasks = self.visible() + sum(
            sum(store.counts(unfinished).values()) for store in self.stores.values()
        )
        return tasks / ((self.speed.measured() or _UNKNOWN_SPEED) * self.goal_seconds)


def _stores(kernel: Kernel) -> Stores:
    made = kinds.configured(kernel.settings)
    return {name: kernel.store(kind) for name, kind in made.items()}


def _sender(kernel: Kernel) -> Sender:
    keys = wiring.webhook_keys(kernel.settings)
    sent_by = LibraryChannel(channel.client(), keys)
    return Sender(kernel.outbox, sent_by, kernel.clock, hooks=kernel.sender_hooks)


def _queue_loops(
    kernel: Kernel, stores: Stores, wake: Callable[[], None]
) -> tuple[Loop, ...]:
    """Return the inlet, and the sender of dead letters, if they have queues."""
    # Imported here, because boto3 takes a third of a second.
    from serve_app.library.inlet.dead_letter_channel import (
        DeadLetterChannel,
        QueuePoster,
    )
    from serve_app.library.inlet.inlet import Inlet
    from serve_app.library.inlet.sqs import Queue

    settings = kernel.settings
    loops: list[Loop] = []
    if settings.library_queue_url:
        queue = Queue(settings.library_queue_url, settings.library_region)
        loops.append(Inlet(queue, Arrivals(stores, kernel.clock), wake))
    if settings.library_dead_letter_url:
        letters = Queue(settings.library_dead_letter_url, settings.library_region)
        sent_by = DeadLetterChannel(QueuePoster(letters))
        loops.append(Sender(kernel.outbox, sent_by, kernel.clock))
    return tuple(loops)


def _visible(settings: Settings) -> Callable[[], int]:
    if not settings.library_queue_url:
        return lambda: 0
    from serve_app.library.inlet.sqs import Queue

    return Queue(settings.library_queue_url, settings.library_region).visible
