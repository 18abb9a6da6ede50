"""What KubeRay refuses at run time is found before."""

from typing import Any

import pytest
import yaml

from deployments.checking import document, ray_service
from tests import kubectl
from tests.unit.deployments.checking.test_check import production

pytestmark = kubectl.needed


def service(**changes: Any) -> dict[str, Any]:
    """Return the RayService of production, with values at dotted places changed."""
    [found] = [
        each
        for each in yaml.safe_load_all(production())
        if each["kind"] == "RayService"
    ]
    for place, value in changes.items():
        *steps, last = place.split("__")
        at = found
        for step in steps:
            at = at[int(step) if step.isdigit() else step]
        at[last] = value
    return found


def faults(**changes: Any) -> list[str]:
    [read] = document.read(yaml.safe_dump(service(**changes)))
    return [each.text for each in ray_service.faults(read)]


CLUSTER = "spec__rayClusterConfig"
OPTIONS = "spec__upgradeStrategy__clusterUpgradeOptions"


def test_that_of_production_is_without_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metadata__name": "Stems"}, "`metadata.name` must be 1 to 47 lower-case"),
        ({"metadata__name": "s" * 48}, "`metadata.name` must be 1 to 47 lower-case"),
        ({f"{CLUSTER}__rayVersion": "2.9.0"}, "rayVersion` must be 2."),
        (
            {f"{CLUSTER}__headGroupSpec__template__spec__containers__0__ports": []},
            "must have a port named `serve`",
        ),
        ({f"{CLUSTER}__workerGroupSpecs__1__groupName": "cpu"}, "must be unique"),
        (
            {f"{CLUSTER}__workerGroupSpecs__0__minReplicas": 9},
            "`spec.rayClusterConfig.workerGroupSpecs[0].minReplicas` must be at most 6",
        ),
        ({"spec__upgradeStrategy__type": "Rolling"}, "must be one of NewCluster"),
        ({f"{CLUSTER}__enableInTreeAutoscaling": False}, "must be true for upgrades"),
        ({OPTIONS: None}, "clusterUpgradeOptions` is required"),
        ({f"{OPTIONS}__stepSizePercent": 60}, "must be from 0 to 50, got 60"),
        ({f"{OPTIONS}__maxSurgePercent": 101}, "must be from 0 to 100, got 101"),
        ({f"{OPTIONS}__intervalSeconds": 0}, "must be from 1 to"),
    ],
)
def test_what_kuberay_refuses_is_found(changes: dict[str, Any], words: str) -> None:
    [said] = faults(**changes)
    assert words in said


@pytest.mark.parametrize(
    ("changes", "nodes"),
    [
        ({}, 10),
        ({f"{CLUSTER}__workerGroupSpecs": []}, 2),
        (
            {
                f"{CLUSTER}__workerGroupSpecs": [{"maxReplicas": 1}],
                "spec__upgradeStrategy__type": "None",
            },
            1,
        ),
        (
            {
                f"{CLUSTER}__workerGroupSpecs": [{"maxReplicas": 1}],
                f"{CLUSTER}__headGroupSpec__rayStartParams": {},
                "spec__upgradeStrategy__type": "None",
            },
            2,
        ),
    ],
)
def test_nodes_are_the_pods_that_replicas_may_run_on(
    changes: dict[str, Any], nodes: int
) -> None:
    assert ray_service.most_nodes(service(**changes)) == nodes
