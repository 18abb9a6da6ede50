"""The faults of a RayService that its schema allows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray

from deployments.checking.document import Document
from deployments.checking.fault import Fault, Place, at, shown, written

SERVE_CONFIG: Place = ("spec", "serveConfigV2")
_CLUSTER: Place = ("spec", "rayClusterConfig")
_HEAD: Place = (*_CLUSTER, "headGroupSpec")
_UPGRADE: Place = ("spec", "upgradeStrategy")
_OPTIONS: Place = (*_UPGRADE, "clusterUpgradeOptions")
_STRATEGIES = ("NewCluster", "NewClusterWithIncrementalUpgrade", "None")
# KubeRay adds to it, and the names of Services have at most 63 characters.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?")
# What Kubernetes takes where a group does not say it.
_UNLIMITED = 2**31 - 1
_BOUNDS = ("minReplicas", "maxReplicas")


def faults(document: Document) -> Iterator[Fault]:
    """Yield what KubeRay refuses at run time, and a version of Ray that is not ours."""
    data = document.data
    name = at(data, ("metadata", "name"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield _must(
            ("metadata", "name"),
            "be 1 to 47 lower-case letters, digits and hyphens, and begin with a "
            "letter",
            name,
        )
    version = at(data, (*_CLUSTER, "rayVersion"))
    if version != ray.__version__:
        wanted = f"be {ray.__version__}, the version of Ray in the image of stemserve"
        yield _must((*_CLUSTER, "rayVersion"), wanted, version)
    ports = _list(data, (*_HEAD, "template", "spec", "containers", 0, "ports"))
    if "serve" not in [at(each, ("name",)) for each in ports]:
        yield Fault(
            (*_HEAD, "template", "spec", "containers", 0),
            "the head's container must have a port named `serve`: KubeRay makes the "
            "Service of it.",
        )
    yield from _of_groups(data)
    yield from _of_upgrades(data)


def containers(data: Mapping[str, Any]) -> Sequence[Place]:
    """Return the places of the containers that run Ray, the head's first."""
    groups = range(len(_list(data, (*_CLUSTER, "workerGroupSpecs"))))
    pods = [_HEAD, *((*_CLUSTER, "workerGroupSpecs", index) for index in groups)]
    places = [(*pod, "template", "spec", "containers", 0) for pod in pods]
    return [place for place in places if isinstance(at(data, place), dict)]


def most_nodes(data: Mapping[str, Any]) -> int:
    """Return on how many nodes replicas may run at once.

    During an upgrade two clusters run side by side, so at least on two.
    """
    counts: list[int] = [
        _number(group, "maxReplicas", _UNLIMITED) * _number(group, "numOfHosts", 1)
        for group in _list(data, (*_CLUSTER, "workerGroupSpecs"))
    ]
    if at(data, (*_HEAD, "rayStartParams", "num-cpus")) != "0":
        counts.append(1)
    is_replaced = at(data, (*_UPGRADE, "type")) != "None"
    return max(sum(counts), 2 if is_replaced else 1)


def _of_groups(data: Mapping[str, Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, group in enumerate(_list(data, (*_CLUSTER, "workerGroupSpecs"))):
        place = (*_CLUSTER, "workerGroupSpecs", index)
        name = str(at(group, ("groupName",)))
        if name in seen:
            yield _must((*place, "groupName"), "be unique", name)
        seen.add(name)
        least, most = (_number(group, key, None) for key in _BOUNDS)
        if least is not None and most is not None and least > most:
            allowed = f"be at most {most}, its maxReplicas"
            yield _must((*place, "minReplicas"), allowed, least)


def _of_upgrades(data: Mapping[str, Any]) -> Iterator[Fault]:
    kind = at(data, (*_UPGRADE, "type"))
    if kind is not None and kind not in _STRATEGIES:
        place = (*_UPGRADE, "type")
        yield _must(place, f"be one of {', '.join(_STRATEGIES)}", kind)
    if kind != "NewClusterWithIncrementalUpgrade":
        return
    if at(data, (*_CLUSTER, "enableInTreeAutoscaling")) is not True:
        yield Fault(
            (*_UPGRADE, "type"),
            f"`{written((*_CLUSTER, 'enableInTreeAutoscaling'))}` must be true for "
            f"upgrades of the type {kind}.",
        )
    if at(data, _OPTIONS) is None:
        yield Fault(_UPGRADE, f"`{written(_OPTIONS)}` is required for type {kind}.")
        return
    surge = at(data, (*_OPTIONS, "maxSurgePercent"))
    surge = 100 if surge is None else surge
    yield from _between(data, "maxSurgePercent", 0, 100)
    yield from _between(data, "stepSizePercent", 0, surge)
    yield from _between(data, "intervalSeconds", 1, _UNLIMITED)


def _between(
    data: Mapping[str, Any], field: str, least: int, most: int
) -> Iterator[Fault]:
    value = at(data, (*_OPTIONS, field))
    if isinstance(value, int) and isinstance(most, int) and not least <= value <= most:
        yield _must((*_OPTIONS, field), f"be from {least} to {most}", value)


def _must(place: Place, allowed: str, value: Any) -> Fault:
    return Fault(place, f"`{written(place)}` must {allowed}, got {shown(value)}.")


def _list(data: Any, place: Place) -> Sequence[Any]:
    found = at(data, place)
    return found if isinstance(found, list) else ()


def _number(group: Any, field: str, default: Any) -> Any:
    value = at(group, (field,))
    return value if isinstance(value, int) else default
