"""The deployment that serves the HTTP API of an application."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

from fastapi import FastAPI
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from deployments import (
    access,
    draining,
    kernel,
    memory,
    metrics,
    nodes,
    page,
    replica_ports,
    tracing,
)
from deployments.logs import configure_audit_log, configure_logging
from deployments.pool import Pool
from deployments.ray_meter import RayMeter
from deployments.system import Handles, System
from serve_app.api.app import create_app
from serve_app.api.services import Services
from serve_app.api.streams import Streams
from serve_app.page.http.part import PATH
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.webhooks.http import part as webhooks
from serve_app.webhooks.http.services import WebhookServices

_HAPROXY = "RAY_SERVE_ENABLE_HA_PROXY"
_STATUS_TIMEOUT_SECONDS = 2.0


class DispatcherCalls:
    """Calls from the API to the dispatcher about one system; see `system.Calls`."""

    def __init__(self, system: str, dispatcher: DeploymentHandle) -> None:
        self._system = system
        self._dispatcher = dispatcher

    def wake(self, kind: str) -> None:
        """Notify the dispatcher of a new job, which it would else find by polling."""
        with suppress(RayError, RayServeException):
            # Not awaited: the dispatcher may be restarting.
            self._dispatcher.wake.remote(kind)

    def stop(self, kind: str, job_id: str) -> None:
        """Notify a dispatcher of a cancelled job; other replicas notice a bit later."""
        with suppress(RayError, RayServeException):
            self._dispatcher.stop.remote(kind, job_id)

    async def status(self) -> Mapping[str, Any]:
        """Return the system's status, or a reason if the dispatcher doesn't respond."""
        try:
            status: Mapping[str, Any] = await asyncio.wait_for(
                self._dispatcher.status.remote(self._system), _STATUS_TIMEOUT_SECONDS
            )
        except (TimeoutError, RayError, RayServeException) as error:
            reason = f"the dispatcher does not respond ({type(error).__name__})"
            return {"ready": False, "reason": reason}
        return status


@dataclass(frozen=True)
class RequestLimits:
    """How many requests a replica takes at once, and how old streams get."""

    max_ongoing_requests: int
    stream_seconds: float


def limits(settings: Settings, pool: Pool) -> RequestLimits:
    """Return the limits of replicas that Serve stops as `pool` says.

    A pool that is stopped without any delay cuts its streams in any case.
    """
    delay_seconds = pool.graceful_shutdown_timeout_s or inf
    seconds = min(settings.stream_seconds, delay_seconds)
    return RequestLimits(pool.max_ongoing_requests, seconds)


class Api:
    """Serves the FastAPI application; loads neither torch nor librosa."""

    def __init__(
        self,
        settings: Settings,
        limits: RequestLimits,
        systems: Mapping[str, System],
        handles: Mapping[str, Handles],
        dispatcher: DeploymentHandle,
    ) -> None:
        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        configure_audit_log()
        self._settings = settings
        self._limits = limits
        self._systems = systems
        self._handles = handles
        self._dispatcher = dispatcher
        self._separators = handles.get("stems", {}).get("separator")

    def __serve_build_asgi_app__(self) -> FastAPI:
        settings = self._settings
        meter = RayMeter()
        shared = kernel.build(settings, meter, tracing.traces(settings, meter))
        systems = [
            system.in_api(
                shared, self._handles[name], DispatcherCalls(name, self._dispatcher)
            )
            for name, system in self._systems.items()
        ]
        gate = access.built(settings, shared, [part.system for part in systems])
        page_parts = page.parts(settings, tuple(self._systems))
        parts = [
            *gate.parts,
            webhooks.part(WebhookServices(shared.outbox, shared.owners)),
            *metrics.parts(shared, systems, self._separators),
            *page_parts,
            *systems,
        ]
        streams = Streams(self._limits.stream_seconds)
        draining.on_drain(streams.drain)
        app = create_app(
            Services(
                answers=shared.answers,
                clock=shared.clock,
                max_ongoing_requests=self._limits.max_ongoing_requests,
                cors_origins=settings.cors_origins,
                public_url=settings.public_url,
                trusted_proxies=settings.trusted_proxies,
                allowed_hosts=settings.effective_hosts,
                # HAProxy takes the place of Serve's proxy, which requests pieces.
                has_pieces=os.environ.get(_HAPROXY) != "1",
                door=gate.door,
                on_request=shared.recorder.request_ended,
                trace=shared.traces.request if shared.traces.is_on else None,
                streams=streams,
                home=PATH if page_parts else "",
            ),
            parts,
            # Serve sends the header itself; it must not be sent twice.
            answers_request_id=False,
        )
        # About half of the memory used at startup is free by now.
        allocator.give_back()
        memory.keep_giving_back()
        return app
