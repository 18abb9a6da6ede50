"""Calls of pools over Serve's handles: what is yielded, answered, and goes wrong."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError
from ray.serve.handle import DeploymentResponse, DeploymentResponseGenerator

from deployments.heartbeats import HeartbeatsStoppedError, watched
from deployments.ray_errors import translated, value_of
from serve_app.errors import Unavailable
from serve_app.jobs.runner import Event, PoolAway, ReplicaDied, Started

logger = logging.getLogger(__name__)

# Where Serve keeps the actors of its replicas.
_SERVE_NAMESPACE = "serve"


async def events_of(
    stream: DeploymentResponseGenerator, heartbeat_timeout_seconds: float
) -> AsyncGenerator[Event, None]:
    """Yield what a replica tells of a job, Started first.

    Closing the generator stops the work. A replica that hangs is killed: else it would
    keep its device, and its jobs. Raises ReplicaDied, PoolAway, and what went wrong.
    """
    replica = ""
    try:
        with translated(lambda error: PoolAway(f"the pool did not answer: {error}")):
            async for event in watched(stream, heartbeat_timeout_seconds):
                told: Event = value_of(event)
                if isinstance(told, Started):
                    replica = told.replica
                yield told
    except HeartbeatsStoppedError as error:
        logger.error("replica hangs and is killed replica=%s: %s", replica, error)
        await asyncio.to_thread(_kill, replica)
        raise ReplicaDied(f"The replica hung: {error}.") from error
    finally:
        stream.cancel()


async def answer_of(response: DeploymentResponse, away: str) -> Any:
    """Return what a replica answers, and cancel the call when nobody waits any more.

    Raises what went wrong there, and Unavailable, which says `away`, where nobody
    answers.
    """
    try:
        with translated(lambda _: Unavailable(away)):
            return value_of(await response)
    finally:
        response.cancel()


def _kill(replica: str) -> None:
    """End a replica's process at once; Serve starts another one."""
    # Another job on it may have found out first.
    with suppress(ValueError, RayError):
        ray.kill(ray.get_actor(replica, _SERVE_NAMESPACE))
