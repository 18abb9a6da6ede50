"""The archive: its workers, its routes, its dispatcher and its sweeps."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import ray
from pydantic import ValidationInfo, field_validator
from ray.serve.handle import DeploymentHandle

from deployments import memory, niceness, nodes, replica_ports, wiring
from deployments.heartbeats import Heartbeat, period_seconds
from deployments.kernel import Kernel
from deployments.logs import configure_logging
from deployments.pool import Pool, Strict, bind, over_defaults
from deployments.pools import events_of
from deployments.ray_errors import Failed
from deployments.sweeper import Sweeper
from deployments.system import Calls, DispatcherPart, Handles, Loop, Pools
from deployments.thread_events import events_of_thread
from serve_app.api.part import ApiPart
from serve_app.archive import kind, sources
from serve_app.archive.copier import Copier
from serve_app.archive.copies import Copies
from serve_app.archive.errors import SourceBusy
from serve_app.archive.http.part import ArchiveServices, part
from serve_app.archive.http.services import CheckIdentity
from serve_app.archive.identity import Identity
from serve_app.archive.kind import ArchiveJob, Fetch, Stored
from serve_app.archive.media import MediaStore
from serve_app.archive.old_tables.changes import Changes
from serve_app.archive.old_tables.connect import connect
from serve_app.archive.old_tables.earlier import Earlier
from serve_app.archive.old_tables.mirror import OldTablesLoop
from serve_app.archive.old_tables.outward import Archive as Known
from serve_app.archive.old_tables.port import Tables
from serve_app.archive.old_tables.providers import Providers
from serve_app.archive.old_tables.rows import Place, check_lengths
from serve_app.archive.old_tables.tables import OldTables
from serve_app.archive.settings_rules import RULES
from serve_app.archive.stores import MediaStores
from serve_app.archive.triggers import Triggers
from serve_app.jobs.dispatcher import Dispatcher
from serve_app.jobs.runner import Finished, Progress, RunnerEvent, Started
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from serve_app.settings.check import Rule

# Incomplete downloads, which outlive their processes.
_PARTIALS = "archive-partials"
_SWEEP_SECONDS = 10.0


class ArchiveWorker:
    """Fetches media and stores it, several at once."""

    def __init__(self, settings: Settings, at_once: int) -> None:
        # Imported late: a process that only binds the pool does not need it.
        from serve_app.archive.downloads.fetch import Downloads, Limits
        from serve_app.archive.work import Worker

        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        self._media = MediaStore(wiring.database(settings), wiring.now)
        limits = Limits(
            max_bytes=settings.archive_max_bytes,
            reserve_bytes=settings.archive_reserve_bytes,
            stall_seconds=settings.archive_stall_seconds,
            max_height=settings.archive_max_height,
        )
        client = sources.configured(settings).client(
            limits.stall_seconds, limits.segments_at_once * at_once
        )
        self._downloads = Downloads(client, settings.data_dir / _PARTIALS, limits)
        self._worker = Worker(
            self._downloads, MediaStores(settings), settings.archive_name_salt
        )
        # Threads have the niceness of the one that starts them.
        os.nice(niceness.ARCHIVE)
        self._threads = ThreadPoolExecutor(at_once, "archive")
        self._actor = str(ray.get_runtime_context().get_actor_name())
        self._period_seconds = period_seconds(settings.heartbeat_timeout_seconds)
        sweeper = Sweeper({"downloads": self._sweep}, {}, _SWEEP_SECONDS)
        # Serve calls constructors on the replica's event loop.
        self._sweeping = asyncio.ensure_future(sweeper.run_forever())
        memory.keep_giving_back()

    async def run(
        self, job: ArchiveJob
    ) -> AsyncIterator[Started | Progress | Heartbeat | Finished | Failed]:
        """Yield the progress of a job, and finally its result or its error."""
        yield Started(self._actor)
        work = partial(self._worker.run, job)
        reported = events_of_thread(work, self._threads, self._period_seconds)
        async with aclosing(reported) as events:
            async for event in events:
                yield event

    def _sweep(self) -> None:
        """Delete what was downloaded for jobs that have ended."""
        before = wiring.now() - timedelta(seconds=_SWEEP_SECONDS)
        wanted = self._media.unfinished()
        self._downloads.sweep(wanted.__contains__, before)


class ArchiveRunner:
    """Runs a job on the workers, with the newest URL of its media.

    A host that asks to be left alone is: its lane of the queue pauses.
    """

    def __init__(
        self,
        workers: DeploymentHandle,
        jobs: JobStore[Fetch, Stored],
        media: MediaStore,
        timeout_seconds: float,
    ) -> None:
        self._workers = workers.options(stream=True)
        self._jobs = jobs
        self._media = media
        self._timeout_seconds = timeout_seconds

    async def __call__(self, job: ArchiveJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the job's events; the last one has the result."""
        newest = await asyncio.to_thread(self._media.find, job.request.key)
        job = job.evolve(request=replace(job.request, url=newest.url))
        stream = self._workers.run.remote(job)
        try:
            async with aclosing(events_of(stream, self._timeout_seconds)) as events:
                async for event in events:
                    yield event
        except SourceBusy as err:
            if job.lane is not None:
                await asyncio.to_thread(self._jobs.pause, job.lane, err.delay_seconds)
            raise


class ArchiveArgs(Strict):
    """The pool of the system."""

    worker: Pool = Pool(max_ongoing_requests=8, graceful_shutdown_timeout_s=120)

    @field_validator("worker", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        return over_defaults(cls, given, info)


@dataclass(frozen=True)
class Archive:
    """Fetches media by URL, and keeps it on several stores."""

    Args: ClassVar[type[ArchiveArgs]] = ArchiveArgs
    settings_rules: ClassVar[Mapping[str, Rule]] = RULES

    args: ArchiveArgs

    def pools(self, settings: Settings) -> Pools:
        """Return the workers, bound."""
        pool = self.args.worker
        return {
            "worker": bind(ArchiveWorker, pool, settings, pool.max_ongoing_requests)
        }

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return the routes, and what they need."""
        settings, stores = kernel.settings, MediaStores(kernel.settings)
        media, triggers = _triggers(kernel, stores)
        tables = connect(settings)
        return part(
            ArchiveServices(
                media=media,
                triggers=triggers,
                secret=settings.archive_trigger_secret,
                check_identity=_check_of_identities(settings, tables),
                wake=partial(calls.wake, kind.NAME),
                stop=partial(calls.stop, kind.NAME),
                status=calls.status,
                stores=len(stores.names),
                url=settings.archive_url,
                port=settings.archive_port,
                earlier=_earlier(kernel, tables, media, stores),
            )
        )

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return the dispatcher and the sweeps."""
        settings, stores = kernel.settings, MediaStores(kernel.settings)
        media, triggers = _triggers(kernel, stores)
        jobs = triggers.jobs
        runner = ArchiveRunner(
            handles["worker"], jobs, media, settings.heartbeat_timeout_seconds
        )
        copies = Copies(kernel.database, media, stores, kernel.clock)
        dispatcher = kernel.dispatcher(
            jobs, runner, in_flight=settings.archive_downloads
        )
        loops: list[Loop] = [Copier(copies)]
        if (tables := connect(settings)) is not None:
            loops.append(_mirror(kernel, tables, media, triggers, stores, dispatcher))
        sweeps: dict[str, Callable[[], object]] = {
            "expired archive": kernel.expiry(jobs).sweep,
            "media that failed": triggers.retry_due,
        }
        if (kept_seconds := settings.archive_retention_seconds) is not None:
            sweeps["old media"] = partial(media.expire, kept_seconds)
        return DispatcherPart(
            dispatchers=(dispatcher,),
            loops=loops,
            sweeps=sweeps,
            slow_sweeps={"copies to plan": copies.plan},
        )


SYSTEM = Archive


def _triggers(kernel: Kernel, stores: MediaStores) -> tuple[MediaStore, Triggers]:
    media = MediaStore(kernel.database, kernel.clock, stores.names)
    jobs = kernel.store(kind.configured(kernel.settings), media.settle)
    allowed = sources.configured(kernel.settings)
    return media, Triggers(jobs, media, allowed, kernel.clock)


def _earlier(
    kernel: Kernel, tables: Tables | None, media: MediaStore, stores: MediaStores
) -> Earlier | None:
    if tables is None:
        return None
    repositories = {stores.facts(name).repository for name in stores.names}
    return Earlier(OldTables(tables, kernel.clock), media, repositories)


def _check_of_identities(settings: Settings, tables: Tables | None) -> CheckIdentity:
    """Return the check of what the old API's tables have room for, if there are any."""
    providers = Providers(settings.archive_providers, tables)

    def check(identity: Identity) -> None:
        if tables is not None:
            check_lengths(identity)
        providers.check(identity.provider)

    return check


def _mirror(
    kernel: Kernel,
    tables: Tables,
    media: MediaStore,
    triggers: Triggers,
    stores: MediaStores,
    dispatcher: Dispatcher,
) -> OldTablesLoop:
    public_url = kernel.settings.archive_url.rstrip("/")

    def add(fetch: Fetch) -> None:
        if triggers.add(fetch) is None:
            dispatcher.wake()

    def place(object_key: str, store: str) -> Place:
        facts = stores.facts(store)
        own_url = f"{public_url}/media/{object_key}"
        direct_url = stores.direct_url(store, object_key) or own_url
        return Place(facts.number, facts.repository, object_key, direct_url)

    return OldTablesLoop(
        OldTables(tables, kernel.clock),
        Changes(kernel.database, kernel.clock),
        Known(
            add=add,
            cancel=triggers.jobs.cancel,
            give_up=media.give_up,
            place=place,
            public_url=public_url,
            clock=kernel.clock,
        ),
    )
