"""The HTTP face of the service on Serve."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import FastAPI
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from deployments import replica_ports
from deployments.failures import cause_of, value_of
from deployments.files import direct_uploads, disk_reserve, file_storage, inputs
from deployments.logs import configure_logging
from deployments.wiring import (
    database,
    now,
    separation_kind,
    webhook_check,
)
from serve_app import licences
from serve_app.analysis.waveform import Pixels, Span
from serve_app.api.app import create_app
from serve_app.api.services import Limits, ModelInfo, Services
from serve_app.audio.isolated import IsolatedMeasure
from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.errors import Unavailable
from serve_app.follow import Follower
from serve_app.idempotency.store import Answers
from serve_app.jobs.store import JobStore
from serve_app.reports import ExportRequest, Request
from serve_app.separation import allocator
from serve_app.separation.models import (
    REGISTRY,
    ModelSpec,
    auto_candidates,
    find,
)
from serve_app.settings import AUTO, Settings
from serve_app.stems.request import SeparationJob
from serve_app.stems.reuse import Reuse
from serve_app.webhooks.outbox import Outbox

_HEALTH_TIMEOUT_SECONDS = 2.0

# A decoder that shares a busy machine with seven others gets a fraction of its time.
_DECODE_PATIENCE = 12


class Pools:
    """The pools as the API sees them: one call to analyse, one to ask how they are."""

    def __init__(
        self, dispatcher: DeploymentHandle, analyzer: DeploymentHandle
    ) -> None:
        self._dispatcher = dispatcher
        self._analyzer = analyzer

    async def tell_of_song(self, request: Request) -> Mapping[str, Any]:
        """Return all that is found out about a stored song."""
        told: Mapping[str, Any]
        told = await self._answer(self._analyzer.of_song.remote(request))
        return told

    async def tell_of_stem(self, request: Request) -> Mapping[str, Any]:
        """Return the loudness and the levels of a stored stem."""
        told: Mapping[str, Any]
        told = await self._answer(self._analyzer.of_stem.remote(request))
        return told

    async def tell_peaks(self, request: Request, span: Span) -> Pixels:
        """Return the exact peaks of a span of a stored song or stem."""
        peaks: Pixels = await self._answer(self._analyzer.peaks.remote(request, span))
        return peaks

    async def export(self, request: ExportRequest) -> None:
        """Make an export of a job."""
        await self._answer(self._analyzer.export.remote(request))

    async def _answer(self, answer: DeploymentResponse) -> Any:
        try:
            told = value_of(await answer)
        except RayTaskError as error:
            raise cause_of(error) from error
        except (RayError, RayServeException) as error:
            raise Unavailable("The analyzers do not answer now; try again.") from error
        finally:
            answer.cancel()
        return told

    def wake(self) -> None:
        """Tell the dispatcher of a new job; it would find it later anyway."""
        with suppress(RayError, RayServeException):
            # Not waited for: it may be starting again just now.
            self._dispatcher.wake.remote()

    def stop(self, job_id: str) -> None:
        """Tell a dispatcher of a cancelled job; another's finds out a bit later."""
        with suppress(RayError, RayServeException):
            self._dispatcher.stop.remote(job_id)

    async def health(self) -> Mapping[str, Any]:
        """Return what the dispatcher knows of the pools, or why it says nothing."""
        try:
            status: Mapping[str, Any] = await asyncio.wait_for(
                self._dispatcher.status.remote(), _HEALTH_TIMEOUT_SECONDS
            )
        except (TimeoutError, RayError, RayServeException) as error:
            reason = f"the dispatcher does not answer ({type(error).__name__})"
            return {"ready": False, "reason": reason}
        return status


def model_infos(
    default: str, allowed: licences.Allowed = "any"
) -> tuple[ModelInfo, ...]:
    """Return what clients may ask for: the registry, and `auto` where it is served."""
    infos = [_info(spec, allowed) for spec in REGISTRY.values()]
    if default == AUTO:
        infos.insert(0, _auto(auto_candidates(allowed)))
    return tuple(infos)


def _info(spec: ModelSpec, allowed: licences.Allowed) -> ModelInfo:
    return ModelInfo(
        name=spec.name,
        sources=spec.sources,
        sample_rate=spec.sample_rate,
        trained_on=spec.trained_on,
        licence=spec.licence,
        licences=spec.licences,
        description=spec.description,
        refusal=licences.refusal(spec.name, spec.licences, allowed),
    )


def _auto(candidates: Sequence[ModelSpec]) -> ModelInfo:
    """Describe `auto`, which stands for the best of the candidates that can be had."""
    names = " or ".join(spec.name for spec in candidates)
    info = replace(
        _info(candidates[0], "any"),
        name=AUTO,
        description=f"The best model that can be had: {names}",
    )
    if len(candidates) == 1:
        return info
    depends = f"that of {names}; a job's answer says which"
    return replace(info, trained_on=depends, licence=depends, licences=None)


def _measure(settings: Settings) -> IsolatedMeasure:
    return IsolatedMeasure(
        AudioLimits(settings.max_duration_seconds, settings.max_audio_values),
        ProcessLimits(
            settings.decode_cpu_seconds,
            settings.decode_memory_bytes,
            _DECODE_PATIENCE * settings.decode_cpu_seconds,
        ),
    )


class Api:
    """Serves the FastAPI app; knows no torch, no librosa."""

    def __init__(
        self,
        settings: Settings,
        max_ongoing_requests: int,
        dispatcher: DeploymentHandle,
        analyzer: DeploymentHandle,
    ) -> None:
        replica_ports.keep_from_network()
        configure_logging(settings)
        self._settings = settings
        self._max_ongoing_requests = max_ongoing_requests
        self._pools = Pools(dispatcher, analyzer)

    def __serve_build_asgi_app__(self) -> FastAPI:
        settings = self._settings
        shared = database(settings)
        outbox = Outbox(shared, now)
        store = JobStore(shared, now, separation_kind(settings), outbox.post)
        storage = file_storage(settings)

        def follow(job: SeparationJob, stem: str) -> Follower:
            look = partial(store.get, job.id)
            return Follower(look, find, storage, settings.working_dir, stem)

        app = create_app(
            Services(
                jobs=store,
                answers=Answers(shared, now),
                reuse=Reuse(store, storage, now, settings.allowed_licences).result,
                deliveries=outbox,
                storage=storage,
                follow=follow,
                fetch=inputs(settings).fetch,
                measure=_measure(settings),
                tell_of_song=self._pools.tell_of_song,
                tell_of_stem=self._pools.tell_of_stem,
                tell_peaks=self._pools.tell_peaks,
                export=self._pools.export,
                wake=self._pools.wake,
                stop=self._pools.stop,
                health=self._pools.health,
                models=model_infos(settings.model, settings.allowed_licences),
                default_model=settings.model,
                limits=Limits(
                    max_upload_bytes=settings.max_upload_bytes,
                    max_queued_jobs=settings.max_queued_jobs,
                    retention_seconds=settings.retention_seconds,
                    link_seconds=settings.download_link_seconds,
                    client_queue_share=settings.client_queue_share,
                    max_job_disk_bytes=settings.max_job_disk_bytes,
                    max_client_disk_bytes=settings.max_client_disk_bytes,
                    max_ongoing_requests=self._max_ongoing_requests,
                ),
                working_dir=settings.working_dir,
                clock=now,
                cors_origins=settings.cors_origins,
                public_url=settings.public_url,
                trusted_proxies=settings.trusted_proxies,
                allowed_hosts=settings.effective_hosts,
                reuses=settings.reuse_songs,
                tenant_header=settings.tenant_header,
                uploads=direct_uploads(settings),
                check_webhook=webhook_check(settings),
                reserve=disk_reserve(settings),
            ),
            # Serve does, and would send it twice.
            answers_request_id=False,
        )
        # Half of what starting took is free by now.
        allocator.give_back()
        return app
