"""Operators see the replicas as Serve counts them."""

from types import SimpleNamespace

import pytest
from ray import serve
from ray.serve.schema import ReplicaState

from deployments import metrics
from serve_app.telemetry.operations import PoolFacts


def test_pools_are_those_of_the_own_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = {ReplicaState.RUNNING: 2, ReplicaState.STARTING: 1}
    own = {
        "Separator": SimpleNamespace(replica_states=states),
        "Analyzer": SimpleNamespace(replica_states={ReplicaState.STOPPING: 1}),
    }
    other = {"Echo": SimpleNamespace(replica_states=states)}
    found = SimpleNamespace(
        applications={
            "songs": SimpleNamespace(deployments=own),
            "echoes": SimpleNamespace(deployments=other),
        }
    )
    context = SimpleNamespace(app_name="songs")
    monkeypatch.setattr(serve, "status", lambda: found)
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)
    assert metrics._pools() == {
        "Separator": PoolFacts(running=2, starting=1),
        "Analyzer": PoolFacts(running=0, starting=0),
    }
