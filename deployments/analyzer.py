"""The pool that analyses songs and stems."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from threading import Event
from typing import Any, TypeVar

import ray

from deployments import memory, niceness, nodes, replica_ports, tracing
from deployments.files import file_storage
from deployments.heartbeats import Heartbeat, period_seconds
from deployments.logs import configure_logging
from deployments.ray_errors import Failed
from deployments.ray_meter import RayMeter
from deployments.thread_events import Report, events_of_thread
from serve_app.analysis.waveform import Pixels, Span
from serve_app.errors import AppError
from serve_app.jobs.runner import Finished, Progress, Started
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.stems.analysis_jobs.request import AnalysisJob, AnalysisResult, Stage
from serve_app.stems.exporter import Exporter
from serve_app.stems.mixer import Mixer
from serve_app.stems.mixes import MixRequest
from serve_app.stems.reporter import OnSamples, Reporter
from serve_app.stems.reports import ExportRequest, Request
from serve_app.telemetry import log_context
from serve_app.telemetry.recorder import Recorder

logger = logging.getLogger(__name__)

# The rest of the work starts when the whole song is decoded.
_LISTENING_PER_CENT = 95

T = TypeVar("T")


def _ignore(samples: int) -> None:
    """Do nothing with a number of samples."""


class Analyzer:
    """Analyses songs and stems.

    Each call ends within half a second when its caller cancels it. An error that
    is not a bug is returned as Failed.
    """

    def __init__(self, settings: Settings) -> None:
        # Imported late: a process that only binds the pool does not need it.
        from serve_app.analysis import song
        from serve_app.stems import beats

        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        meter = RayMeter()
        self._traces = tracing.traces(settings, meter)
        storage = file_storage(settings, Recorder(meter).storage_failed)
        make_engine = beats.engine_maker(settings)
        self._reporter = Reporter(
            storage,
            settings.working_dir,
            partial(song.SongListener, make_engine=make_engine),
        )
        self._exporter = Exporter(storage, settings.working_dir)
        self._mixer = Mixer(storage, settings.working_dir)
        song.warm_up(make_engine)
        allocator.give_back()
        self._actor = str(ray.get_runtime_context().get_actor_name())
        self._period_seconds = period_seconds(settings.heartbeat_timeout_seconds)
        os.nice(niceness.ANALYSIS)
        memory.keep_giving_back()

    async def of_song(self, request: Request) -> Mapping[str, Any] | Failed:
        """Return the full analysis of a song."""
        return await _result(partial(self._of_song, request))

    async def analyze(
        self, job: AnalysisJob
    ) -> AsyncIterator[Started | Progress | Heartbeat | Finished | Failed]:
        """Yield the progress of a job, and finally its result or its error.

        There is a heartbeat when nothing else was yielded for a while.
        """
        yield Started(self._actor)
        work = partial(self._analyze, job)
        reported = events_of_thread(work, None, self._period_seconds)
        async with aclosing(reported) as events:
            async for event in events:
                yield event

    def _analyze(
        self, job: AnalysisJob, report: Report, cancelled: Event
    ) -> AnalysisResult:
        source = job.request.source
        request = Request(
            source.key,
            bpm_range=job.request.bpm_range,
            job_id=job.id,
            request_id=job.request_id,
            traceparent=job.traceparent,
        )
        per_cent = 0

        def on_samples(samples: int) -> None:
            nonlocal per_cent
            done = int(_LISTENING_PER_CENT * samples / source.samples)
            if done > per_cent:
                per_cent = done
                report(Stage.ANALYZE, done / 100)

        report(Stage.ANALYZE, 0.0)
        return AnalysisResult(self._of_song(request, cancelled, on_samples))

    def _of_song(
        self, request: Request, cancelled: Event, on_samples: OnSamples = _ignore
    ) -> Mapping[str, Any]:
        bound = log_context.bound(request.job_id, request.request_id)
        with bound, self._traces.analysis(request.job_id, request.traceparent):
            began_seconds, job = time.monotonic(), request.job_id or "-"
            logger.info("analysis started job=%s", job)
            report = self._reporter.of_song(request, cancelled, on_samples)
            seconds = time.monotonic() - began_seconds
            logger.info("analysis ended job=%s took=%.1fs", job, seconds)
            return report

    async def of_stem(self, request: Request) -> Mapping[str, Any] | Failed:
        """Return a stem's loudness and levels."""
        return await _result(partial(self._reporter.of_stem, request))

    async def peaks(self, request: Request, span: Span) -> Pixels | Failed:
        """Return the exact peaks of a span of a song or a stem."""
        return await _result(partial(self._reporter.peaks, request, span))

    async def export(self, request: ExportRequest) -> Failed | None:
        """Create an export of a job."""
        return await _result(partial(self._exporter.export, request))

    async def mix(self, request: MixRequest) -> Failed | None:
        """Render a mix of a job's stems."""
        return await _result(partial(self._mixer.mix, request))


async def _result(work: Callable[[Event], T]) -> T | Failed:
    cancelled = Event()
    try:
        return await asyncio.to_thread(work, cancelled)
    except AppError as error:
        return Failed(error)
    finally:
        cancelled.set()
