"""A replica learns that Serve stops it, before Serve waits for its requests."""

import asyncio
import inspect

import pytest
from ray.serve._private import replica
from ray.serve._private.replica import Replica

from deployments import draining


def test_one_call_comes_before_the_wait_for_requests_and_one_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = []

    async def shut_down(stopped: object) -> None:
        order.append(stopped)

    monkeypatch.setattr(Replica, "perform_graceful_shutdown", shut_down)
    draining.when_stopped(lambda: order.append("done"))
    draining.on_drain(lambda: order.append("told"))
    stopped = object.__new__(Replica)
    asyncio.run(stopped.perform_graceful_shutdown())
    assert order == ["told", stopped, "done"]


def test_serve_still_stops_a_replica_by_this_method() -> None:
    """It is not part of Ray's API: another version may do so in another way."""
    called = inspect.getsource(replica.ReplicaActor)
    assert "self._replica_impl.perform_graceful_shutdown()" in called
    body = inspect.getsource(Replica._perform_graceful_shutdown)
    assert "_drain_ongoing_requests" in body
