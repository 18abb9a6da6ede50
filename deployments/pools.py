"""Calls to pools over Serve's handles, with their errors translated."""

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
from serve_app.jobs.runner import PoolAway, ReplicaDied, RunnerEvent, Started

logger = logging.getLogger(__name__)

# The Ray namespace of Serve's replicas.
_SERVE_NAMESPACE = "serve"


async def events_of(
    stream: DeploymentResponseGenerator, heartbeat_timeout_seconds: float
) -> AsyncGenerator[RunnerEvent, None]:
    """Yield the events of a job from a replica, Started first.

    Closing the generator stops the work. A replica that hangs is killed, so that it
    frees its device and its jobs. Raises ReplicaDied, PoolAway, and the errors of the
    job.
    """
    replica = ""
    try:
        with translated(lambda error: PoolAway(f"the pool is unavailable: {error}")):
            async for event in watched(stream, heartbeat_timeout_seconds):
                value: RunnerEvent = value_of(event)
                if isinstance(value, Started):
                    replica = value.replica
                yield value
    except HeartbeatsStoppedError as error:
        logger.error("hung replica killed replica=%s reason=%s", replica, error)
        await asyncio.to_thread(_kill, replica)
        raise ReplicaDied(f"The replica hung: {error}.") from error
    finally:
        stream.cancel()


async def answer_of(response: DeploymentResponse, away: str) -> Any:
    """Return a replica's result; the call is cancelled when the caller is.

    Raises the replica's error, or Unavailable with the text `away` if no replica can be
    reached.
    """
    try:
        with translated(lambda _: Unavailable(away)):
            return value_of(await response)
    finally:
        response.cancel()


def _kill(replica: str) -> None:
    """Kill a replica; Serve replaces it."""
    # Another job on the replica may have killed it already.
    with suppress(ValueError, RayError):
        ray.kill(ray.get_actor(replica, _SERVE_NAMESPACE))
