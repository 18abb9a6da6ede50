"""Stems and analysis: the pools, the routes and the dispatcher of songs."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from pydantic import ValidationInfo, field_validator

from deployments.access import signer
from deployments.analyzer import Analyzer
from deployments.demand import Demand
from deployments.files import disk_reserve, inputs
from deployments.kernel import Kernel
from deployments.pool import Pool, RequestPool, Strict, bind, over_defaults
from deployments.separator import Separator
from deployments.stems_calls import (
    Analyses,
    AnalysisRunner,
    Description,
    SongRunner,
)
from deployments.system import Calls, DispatcherPart, Handles, Pools
from deployments.wiring import analysis_kind, separation_kind, webhook_check
from serve_app.api.part import ApiPart
from serve_app.audio.isolated import IsolatedMeasure
from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.audio.wave import WavForm
from serve_app.jobs.dispatcher import Dispatcher
from serve_app.jobs.expiry import Expiry
from serve_app.jobs.store import JobStore
from serve_app.scaling.store import WorkStore
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.settings.check import Rule
from serve_app.stems.analysis_jobs.request import (
    AnalysisRequest,
    AnalysisResult,
)
from serve_app.stems.http.part import part
from serve_app.stems.http.services import Arrivals, Limits, Models, StemsServices
from serve_app.stems.kind import FOLDERS
from serve_app.stems.live_playback import Follower
from serve_app.stems.models import model_infos
from serve_app.stems.request import Result, SeparationJob, SeparationRequest
from serve_app.stems.reuse import Reuse
from serve_app.stems.settings_rules import RULES
from serve_app.storage.port import UPLOADS
from serve_app.telemetry.decodes import Decodes

logger = logging.getLogger(__name__)

# More than the pool can run, or its autoscaler never sees that it is too small.
_BACKLOG = 1.5
# A decoder that shares a busy machine with seven others gets a fraction of a core.
_DECODE_TIMEOUT_FACTOR = 12


class StemsArgs(Strict):
    """The pools of the system."""

    separator: Pool = Pool(
        max_ongoing_requests=8,
        graceful_shutdown_timeout_s=600,
        env={allocator.VARIABLE: allocator.TUNABLES},
    )
    # Several at once, so that a short song does not wait for a long one; each in one
    # thread, as BLAS's threads wait for each other on a busy machine.
    # They stop no sooner than the Api's requests that wait for them.
    analyzer: RequestPool = Pool(
        max_ongoing_requests=4,
        graceful_shutdown_timeout_s=120,
        env={"OPENBLAS_NUM_THREADS": "1"},
    )

    @field_validator("separator", "analyzer", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        return over_defaults(cls, given, info)


@dataclass(frozen=True)
class Stems:
    """Separates songs and analyses them."""

    Args: ClassVar[type[StemsArgs]] = StemsArgs
    settings_rules: ClassVar[Mapping[str, Rule]] = RULES

    args: StemsArgs

    def pools(self, settings: Settings) -> Pools:
        """Return the pools, bound."""
        return {
            "separator": bind(Separator, self.args.separator, settings),
            "analyzer": bind(Analyzer, self.args.analyzer, settings),
        }

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return the routes of songs, and what they need."""
        return part(_services(kernel, Analyses(handles["analyzer"]), calls))

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return what runs the jobs."""
        settings = kernel.settings
        store = kernel.store(separation_kind(settings, signer(kernel).target))
        expiry = kernel.expiry(store)
        capacity = self.args.separator.most_replicas * settings.songs_at_once
        runner = SongRunner(
            handles["separator"],
            handles["analyzer"],
            settings.heartbeat_timeout_seconds,
        )
        dispatcher = kernel.dispatcher(
            store,
            runner,
            in_flight=max(capacity + 1, int(capacity * _BACKLOG)),
            share_limit=client_songs(self.args.separator, settings.songs_at_once),
            reuse=_reuse(kernel, store).result,
            discard=expiry.discard,
        )
        goal_seconds, demands = self.args.separator.goal_seconds, {}
        if goal_seconds is not None:
            demands[Separator.__name__] = Demand(
                WorkStore(kernel.database, store.kind.name),
                runner.speed,
                goal_seconds,
                kernel.clock,
            )
        analyses = kernel.store(analysis_kind(settings))
        analysis_expiry = kernel.expiry(analyses)
        grace_seconds = settings.orphan_grace_seconds
        return DispatcherPart(
            dispatchers=(
                dispatcher,
                self._analysis_dispatcher(kernel, handles, analyses, analysis_expiry),
            ),
            loops=(Description(handles["separator"]),),
            sweeps={
                "expired jobs": expiry.sweep,
                "expired analyses": analysis_expiry.sweep,
            },
            slow_sweeps={
                "orphans": partial(_sweep_orphans, kernel, expiry),
                "orphans of analyses": partial(
                    analysis_expiry.sweep_orphans, grace_seconds
                ),
            },
            demands=demands,
        )

    def _analysis_dispatcher(
        self,
        kernel: Kernel,
        handles: Handles,
        store: JobStore[AnalysisRequest, AnalysisResult],
        expiry: Expiry,
    ) -> Dispatcher:
        """Return the dispatcher of analysis jobs, which fill half of the analyzers.

        The other half is for waiting clients, and for songs that are being separated.
        """
        pool = self.args.analyzer
        capacity = pool.most_replicas * max(1, pool.max_ongoing_requests // 2)
        run = AnalysisRunner(
            handles["analyzer"], kernel.settings.heartbeat_timeout_seconds
        )
        return kernel.dispatcher(
            store,
            run,
            # One more than one client or long songs may fill.
            in_flight=capacity + 1,
            share_limit=capacity,
            discard=expiry.discard,
        )


SYSTEM = Stems


def client_songs(pool: Pool, songs_at_once: int) -> int:
    """Return how many songs of one client may run at once.

    A separator runs one more than `songs_at_once`, unless its limit of calls is lower.
    One of these places is kept for a client that has none.
    """
    places = min(songs_at_once + 1, pool.max_ongoing_requests)
    return pool.most_replicas * max(1, places - 1)


def _reuse(kernel: Kernel, store: JobStore[SeparationRequest, Result]) -> Reuse:
    allowed = kernel.settings.allowed_licences
    on_reuse = kernel.traces.reused
    return Reuse(store, kernel.storage, kernel.clock, allowed, on_reuse)


def _sweep_orphans(kernel: Kernel, expiry: Expiry) -> None:
    """Delete files that belong to no job, and unfinished uploads."""
    grace_seconds, uploads = kernel.settings.orphan_grace_seconds, kernel.uploads
    if uploads is None:
        expiry.sweep_orphans(grace_seconds)
        return
    # On S3 a file is as old as the start of its upload, which may take long.
    begun_before = kernel.clock() - timedelta(seconds=grace_seconds + uploads.seconds)
    uploads.sweep(begun_before, FOLDERS)
    expiry.sweep_orphans(grace_seconds, {UPLOADS: uploads.seconds})


def _services(kernel: Kernel, analyses: Analyses, calls: Calls) -> StemsServices:
    settings = kernel.settings
    store = kernel.store(separation_kind(settings, signer(kernel).target))

    def follow(job: SeparationJob, stem: str, form: WavForm) -> Follower:
        look = partial(store.get, job.id)
        return Follower(look, kernel.storage, stem, form)

    return StemsServices(
        jobs=store,
        analysis_jobs=kernel.store(analysis_kind(settings)),
        storage=kernel.storage,
        arrivals=Arrivals(
            fetch=inputs(settings).fetch,
            measure=_measure(settings),
            working_dir=settings.working_dir,
            max_upload_bytes=settings.max_upload_bytes,
            uploads=kernel.uploads,
            reserve=disk_reserve(settings),
            decodes=Decodes(kernel.meter, kernel.traces),
        ),
        analyses=analyses,
        follow=follow,
        wake=calls.wake,
        stop=calls.stop,
        health=calls.status,
        models=Models(
            model_infos(settings.model, settings.allowed_licences), settings.model
        ),
        limits=Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_queued_jobs=settings.max_queued_jobs,
            retention_seconds=settings.retention_seconds,
            link_seconds=settings.download_link_seconds,
            max_job_disk_bytes=settings.max_job_disk_bytes,
            max_client_disk_bytes=settings.max_client_disk_bytes,
        ),
        clock=kernel.clock,
        public_url=settings.public_url,
        reuse=_reuse(kernel, store).result if settings.reuse_songs else None,
        check_webhook=webhook_check(settings),
    )


def _measure(settings: Settings) -> IsolatedMeasure:
    return IsolatedMeasure(
        AudioLimits(settings.max_duration_seconds, settings.max_audio_values),
        ProcessLimits(
            settings.decode_cpu_seconds,
            settings.decode_memory_bytes,
            _DECODE_TIMEOUT_FACTOR * settings.decode_cpu_seconds,
        ),
    )
