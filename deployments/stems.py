"""Stems and analysis: the pools, the routes and the dispatcher of songs."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from pydantic import ValidationInfo, field_validator
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.analyzer import Analyzer
from deployments.files import disk_reserve, inputs
from deployments.kernel import Kernel
from deployments.pool import Pool, Strict, bind, over_defaults
from deployments.pools import answer_of, events_of
from deployments.separator import Separator
from deployments.system import Calls, DispatcherPart, Handles, Pools
from deployments.wiring import analysis_kind, separation_kind, webhook_check
from serve_app.analysis.waveform import Pixels, Span
from serve_app.api.part import ApiPart
from serve_app.audio.isolated import IsolatedMeasure
from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.errors import AppError, StorageUnavailable
from serve_app.jobs.dispatcher import Dispatcher
from serve_app.jobs.expiry import Expiry
from serve_app.jobs.log import quoted
from serve_app.jobs.runner import Finished, RunnerEvent
from serve_app.jobs.store import JobStore
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.settings.check import Rule
from serve_app.stems import reports
from serve_app.stems.analysis_jobs.request import (
    AnalysisJob,
    AnalysisRequest,
    AnalysisResult,
)
from serve_app.stems.http.part import part
from serve_app.stems.http.services import Arrivals, Limits, Models, StemsServices
from serve_app.stems.kind import FOLDERS
from serve_app.stems.live_playback import Follower
from serve_app.stems.models import model_infos
from serve_app.stems.reports import ExportRequest, Request
from serve_app.stems.request import Result, SeparationJob, SeparationRequest
from serve_app.stems.reuse import Reuse
from serve_app.stems.settings_rules import RULES
from serve_app.storage.port import UPLOADS

logger = logging.getLogger(__name__)

# More than the pool can work on, or its autoscaler never sees that it is too small.
_BACKLOG = 1.5
# How often /health's picture of the pools is renewed, and until there is one.
_DESCRIBE_SECONDS = 10.0
_FIRST_DESCRIBE_SECONDS = 1.0
_DESCRIBE_TIMEOUT_SECONDS = 2.0
# How long an analysis waits for a store that is away or full, and between its tries.
_ANALYSIS_PATIENCE_SECONDS = 60.0
_ANALYSIS_PAUSE_SECONDS = 5.0
# A decoder that shares a busy machine with seven others gets a fraction of its time.
_DECODE_PATIENCE = 12
_NO_ANALYZER = "The analyzers do not answer now; try again."


class StemsArgs(Strict):
    """The pools of the system."""

    separator: Pool = Pool(
        max_ongoing_requests=8,
        graceful_shutdown_timeout_s=600,
        env={allocator.VARIABLE: allocator.TUNABLES},
    )
    # Several at once, so that a short song is not behind a long one; each in one
    # thread, as BLAS's own wait for each other on a busy machine.
    analyzer: Pool = Pool(max_ongoing_requests=4, env={"OPENBLAS_NUM_THREADS": "1"})

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
        store = kernel.store(separation_kind(settings))
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
            of_one_kind=capacity,
            reuse=_reuse(kernel, store).result,
            discard=expiry.discard,
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
        )

    def _analysis_dispatcher(
        self,
        kernel: Kernel,
        handles: Handles,
        store: JobStore[AnalysisRequest, AnalysisResult],
        expiry: Expiry,
    ) -> Dispatcher:
        """Return what runs analyses as jobs, on half of what the analyzers take.

        The other half is for clients that wait, and for the songs that are separated.
        """
        pool = self.args.analyzer
        capacity = pool.most_replicas * max(1, pool.max_ongoing_requests // 2)
        analyze = handles["analyzer"].options(stream=True).analyze
        timeout_seconds = kernel.settings.heartbeat_timeout_seconds

        def run(job: AnalysisJob) -> AsyncGenerator[RunnerEvent, None]:
            return events_of(analyze.remote(job), timeout_seconds)

        return kernel.dispatcher(
            store,
            run,
            # One more than of one client, or long: short ones find it free.
            in_flight=capacity + 1,
            of_one_kind=capacity,
            discard=expiry.discard,
        )


SYSTEM = Stems


def _reuse(kernel: Kernel, store: JobStore[SeparationRequest, Result]) -> Reuse:
    allowed = kernel.settings.allowed_licences
    return Reuse(store, kernel.storage, kernel.clock, allowed)


def _sweep_orphans(kernel: Kernel, expiry: Expiry) -> None:
    """Delete files that belong to no job; unfinished uploads, too."""
    grace_seconds, uploads = kernel.settings.orphan_grace_seconds, kernel.uploads
    if uploads is None:
        expiry.sweep_orphans(grace_seconds)
        return
    # On S3 a file is as old as its upload, which may have taken long.
    begun_before = kernel.clock() - timedelta(seconds=grace_seconds + uploads.seconds)
    uploads.sweep(begun_before, FOLDERS)
    expiry.sweep_orphans(grace_seconds, {UPLOADS: uploads.seconds})


class SongRunner:
    """Runs a job on both pools at once."""

    def __init__(
        self,
        separator: DeploymentHandle,
        analyzer: DeploymentHandle,
        heartbeat_timeout_seconds: float,
    ) -> None:
        self._separator = separator.options(stream=True)
        self._analyzer = analyzer
        self._timeout_seconds = heartbeat_timeout_seconds

    async def __call__(self, job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the job's events; the last one holds stems and analysis."""
        began_seconds = time.monotonic()
        analysis = asyncio.ensure_future(self._analyze(job))
        beside_seconds: dict[str, float] = {}
        analysis.add_done_callback(
            lambda _: beside_seconds.update(analyze=time.monotonic() - began_seconds)
        )
        stream = self._separator.separate.remote(job)
        try:
            async with aclosing(events_of(stream, self._timeout_seconds)) as events:
                async for event in events:
                    if not isinstance(event, Finished):
                        yield event
                        continue
                    stored_seconds = time.monotonic()
                    found = replace(event.result, **await analysis)
                    waited_seconds = time.monotonic() - stored_seconds
                    yield Finished(found, beside_seconds, waited_seconds)
        finally:
            analysis.cancel()

    async def _analyze(self, job: SeparationJob) -> Mapping[str, Any]:
        """Return the analysis half of the result; stems are not lost for want of it."""
        try:
            return {"analysis": reports.summary(await self._analysis(job))}
        except AppError as error:
            reason = error.detail.splitlines()[0]
        except RayError as error:
            reason = str(error).splitlines()[0]
        except Exception as error:
            logger.exception("analysis crashed job=%s", job.id)
            reason = f"The analysis failed ({type(error).__name__}); see the log."
        logger.warning("analysis failed job=%s error=%s", job.id, quoted(reason))
        return {"analysis_error": reason}

    async def _analysis(self, job: SeparationJob) -> Mapping[str, Any]:
        """Return the analysis of a song; a store that is away is asked for a minute."""
        request = reports.of_song(job)
        until_seconds = time.monotonic() + _ANALYSIS_PATIENCE_SECONDS
        while True:
            try:
                call = self._analyzer.of_song.remote(request)
                told: Mapping[str, Any] = await answer_of(call, _NO_ANALYZER)
                return told
            except StorageUnavailable:
                if time.monotonic() > until_seconds:
                    raise
            await asyncio.sleep(_ANALYSIS_PAUSE_SECONDS)


class Description:
    """Keeps the picture of the separators fresh, busy as they may be."""

    def __init__(self, separator: DeploymentHandle) -> None:
        self._separator = separator
        self._told: Mapping[str, Any] = {}

    async def run_forever(self) -> None:
        """Ask the separators until cancelled."""
        while True:
            self._told = await self._describe()
            is_ready = self._told.get("ready", False)
            await asyncio.sleep(
                _DESCRIBE_SECONDS if is_ready else _FIRST_DESCRIBE_SECONDS
            )

    def status(self) -> Mapping[str, Any]:
        """Return what the separators last said, and whether they are ready."""
        return self._told

    async def _describe(self) -> Mapping[str, Any]:
        try:
            separator = await asyncio.wait_for(
                self._separator.describe.remote(), _DESCRIBE_TIMEOUT_SECONDS
            )
        except (TimeoutError, RayError, RayServeException) as error:
            reason = f"no separator answers ({type(error).__name__})"
            return {**self._told, "ready": False, "reason": reason}
        return {"ready": True, **separator}


class Analyses:
    """The analyzers as the API sees them."""

    def __init__(self, analyzer: DeploymentHandle) -> None:
        self._analyzer = analyzer

    async def analyze_song(self, request: Request) -> Mapping[str, Any]:
        """Return all that is found out about a stored song."""
        told: Mapping[str, Any]
        told = await answer_of(self._analyzer.of_song.remote(request), _NO_ANALYZER)
        return told

    async def analyze_stem(self, request: Request) -> Mapping[str, Any]:
        """Return the loudness and the levels of a stored stem."""
        told: Mapping[str, Any]
        told = await answer_of(self._analyzer.of_stem.remote(request), _NO_ANALYZER)
        return told

    async def exact_peaks(self, request: Request, span: Span) -> Pixels:
        """Return the exact peaks of a span of a stored song or stem."""
        call = self._analyzer.peaks.remote(request, span)
        peaks: Pixels = await answer_of(call, _NO_ANALYZER)
        return peaks

    async def export(self, request: ExportRequest) -> None:
        """Make an export of a job."""
        await answer_of(self._analyzer.export.remote(request), _NO_ANALYZER)


def _services(kernel: Kernel, analyses: Analyses, calls: Calls) -> StemsServices:
    settings = kernel.settings
    store = kernel.store(separation_kind(settings))

    def follow(job: SeparationJob, stem: str) -> Follower:
        look = partial(store.get, job.id)
        return Follower(look, kernel.storage, settings.working_dir, stem)

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
            _DECODE_PATIENCE * settings.decode_cpu_seconds,
        ),
    )
