"""How the system `stems` calls its pools."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.pools import answer_of, events_of
from serve_app.analysis.waveform import Pixels, Span
from serve_app.errors import AppError, StorageUnavailable
from serve_app.jobs.log import quoted
from serve_app.jobs.runner import Finished, RunnerEvent
from serve_app.scaling.speed import Speed
from serve_app.stems import reports
from serve_app.stems.analysis_jobs.request import AnalysisJob
from serve_app.stems.mixes import MixRequest
from serve_app.stems.reports import ExportRequest, Request
from serve_app.stems.request import SeparationJob

logger = logging.getLogger(__name__)

# How often the separators' report is renewed, and until there is one.
_DESCRIBE_SECONDS = 10.0
_FIRST_DESCRIBE_SECONDS = 1.0
_DESCRIBE_TIMEOUT_SECONDS = 2.0
# For how long an analysis is retried while the store is unavailable, and how often.
_ANALYSIS_RETRY_FOR_SECONDS = 60.0
_ANALYSIS_RETRY_SECONDS = 5.0
_NO_ANALYZER = "The analyzers do not answer now; try again."


class SongRunner:
    """Runs a separation on both pools at once, and measures the separators' `speed`."""

    def __init__(
        self,
        separator: DeploymentHandle,
        analyzer: DeploymentHandle,
        heartbeat_timeout_seconds: float,
    ) -> None:
        self._separator = separator.options(stream=True)
        self._analyzer = analyzer
        self._timeout_seconds = heartbeat_timeout_seconds
        self.speed = Speed()

    async def __call__(self, job: SeparationJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the job's events; the last one has the stems and the analysis."""
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
                    self.speed.add(job.cost_seconds, event.result.device_seconds)
                    stored_seconds = time.monotonic()
                    found = replace(event.result, **await analysis)
                    waited_seconds = time.monotonic() - stored_seconds
                    yield Finished(found, beside_seconds, waited_seconds)
        finally:
            analysis.cancel()

    async def _analyze(self, job: SeparationJob) -> Mapping[str, Any]:
        """Return the result's analysis, or why there is none: the stems are kept."""
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
        """Return the analysis of a song; retry for a minute if the store is away."""
        request = reports.of_song(job)
        until_seconds = time.monotonic() + _ANALYSIS_RETRY_FOR_SECONDS
        while True:
            try:
                call = self._analyzer.of_song.remote(request)
                report: Mapping[str, Any] = await answer_of(call, _NO_ANALYZER)
                return report
            except StorageUnavailable:
                if time.monotonic() > until_seconds:
                    raise
            await asyncio.sleep(_ANALYSIS_RETRY_SECONDS)


class Description:
    """Asks the separators for their report from time to time, and keeps it."""

    def __init__(self, separator: DeploymentHandle) -> None:
        self._separator = separator
        self._report: Mapping[str, Any] = {}

    async def run_forever(self) -> None:
        """Renew the report until cancelled."""
        while True:
            self._report = await self._describe()
            is_ready = self._report.get("ready", False)
            await asyncio.sleep(
                _DESCRIBE_SECONDS if is_ready else _FIRST_DESCRIBE_SECONDS
            )

    def status(self) -> Mapping[str, Any]:
        """Return the last report of the separators: `ready`, and more if known."""
        return self._report

    async def _describe(self) -> Mapping[str, Any]:
        try:
            separator = await asyncio.wait_for(
                self._separator.describe.remote(), _DESCRIBE_TIMEOUT_SECONDS
            )
        except (TimeoutError, RayError, RayServeException) as error:
            reason = f"no separator answers ({type(error).__name__})"
            return {**self._report, "ready": False, "reason": reason}
        return {"ready": True, **separator}


class Analyses:
    """The analyzers as the API sees them."""

    def __init__(self, analyzer: DeploymentHandle) -> None:
        self._analyzer = analyzer

    async def analyze_song(self, request: Request) -> Mapping[str, Any]:
        """Return the full analysis of a stored song."""
        call = self._analyzer.of_song.remote(request)
        report: Mapping[str, Any] = await answer_of(call, _NO_ANALYZER)
        return report

    async def analyze_stem(self, request: Request) -> Mapping[str, Any]:
        """Return the loudness and the levels of a stored stem."""
        call = self._analyzer.of_stem.remote(request)
        report: Mapping[str, Any] = await answer_of(call, _NO_ANALYZER)
        return report

    async def exact_peaks(self, request: Request, span: Span) -> Pixels:
        """Return the exact peaks of a span of a stored song or stem."""
        call = self._analyzer.peaks.remote(request, span)
        peaks: Pixels = await answer_of(call, _NO_ANALYZER)
        return peaks

    async def export(self, request: ExportRequest) -> None:
        """Create an export of a job."""
        await answer_of(self._analyzer.export.remote(request), _NO_ANALYZER)

    async def mix(self, request: MixRequest) -> None:
        """Render a mix of a job's stems."""
        await answer_of(self._analyzer.mix.remote(request), _NO_ANALYZER)


class AnalysisRunner:
    """Runs an analysis job on the analyzers."""

    def __init__(
        self, analyzer: DeploymentHandle, heartbeat_timeout_seconds: float
    ) -> None:
        self._analyzer = analyzer.options(stream=True)
        self._timeout_seconds = heartbeat_timeout_seconds

    def __call__(self, job: AnalysisJob) -> AsyncGenerator[RunnerEvent, None]:
        """Yield the job's events; the last one has the report."""
        return events_of(self._analyzer.analyze.remote(job), self._timeout_seconds)
