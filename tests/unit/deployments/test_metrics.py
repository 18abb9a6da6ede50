"""Operators see the replicas as Serve counts them, and how full batches were."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import context
from ray.serve.exceptions import RayServeException

from deployments import metrics
from deployments.separator import Separator
from serve_app.telemetry.batch_fill import BatchFillFacts
from serve_app.telemetry.operations import PoolFacts


def test_pools_are_those_of_the_own_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pool(target: int, *states: str) -> dict[str, object]:
        replicas = [{"state": state} for state in states]
        return {"target_num_replicas": target, "replicas": replicas}

    separator = pool(3, "RUNNING", "RUNNING", "STARTING")
    own = {"Separator": separator, "Analyzer": pool(0, "STOPPING")}
    other = {"Echo": pool(1, "RUNNING")}
    details = {"songs": {"deployments": own}, "echoes": {"deployments": other}}
    client = SimpleNamespace(get_serve_details=lambda: {"applications": details})
    replica = SimpleNamespace(app_name="songs")
    monkeypatch.setattr(context, "_get_global_client", lambda: client)
    monkeypatch.setattr(serve, "get_replica_context", lambda: replica)
    assert metrics._pools() == {
        "Separator": PoolFacts(running=2, starting=1, target=3),
        "Analyzer": PoolFacts(running=0, starting=0, target=0),
    }


def separators(answer: object) -> Any:
    """Return a handle of replicas that answer so, or raise an exception."""

    async def results(*, timeout_s: float) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def broadcast(method: str) -> SimpleNamespace:
        assert callable(getattr(Separator, method))
        return SimpleNamespace(results_async=results)

    return SimpleNamespace(broadcast=broadcast)


@pytest.mark.anyio
async def test_the_fill_of_batches_is_the_mean_of_all_replicas() -> None:
    found = [BatchFillFacts(3, 3.0), BatchFillFacts(1, 0.2), BatchFillFacts()]
    assert await metrics._batch_fill(separators(found)) == pytest.approx(0.8)
    assert await metrics._batch_fill(separators([BatchFillFacts()])) is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error", [TimeoutError(), RayActorError(), RayServeException()]
)
async def test_replicas_that_do_not_answer_leave_the_fill_unknown(
    error: Exception,
) -> None:
    assert await metrics._batch_fill(separators(error)) is None
    assert await metrics._batch_fill(None) is None
