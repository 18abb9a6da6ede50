"""The Grafana dashboard asks Prometheus for what there is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from serve_app.telemetry import catalogue
from serve_app.telemetry.metric import MetricType
from tests.unit.monitoring import promtool
from tests.unit.monitoring.test_alerts import ALERTS
from tools import dashboard

# Ray's own metrics, with the sources that define them.
_NODES = "dashboard/modules/reporter/reporter_agent.py"
_SERVE = "serve/_private/deployment_state.py"
RAY = {
    "ray_component_rss_bytes": _NODES,
    "ray_node_mem_total": _NODES,
    "ray_node_mem_used": _NODES,
    "ray_serve_autoscaling_target_replicas": _SERVE,
    "ray_serve_deployment_replica_healthy": _SERVE,
    "ray_serve_deployment_status": _SERVE,
}
# Labels that Prometheus and Ray add.
_ADDED = {"namespace", "instance", "le", "application", "deployment", "alertname"}
_SUFFIXES = {
    MetricType.COUNTER: ("_total",),
    MetricType.GAUGE: ("",),
    MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"),
}
_NAME = re.compile(r"\b(?:ray|stemserve)_\w+")
_SELECTED = re.compile(r"\b((?:ray_)?stemserve_\w+)\s*\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)")

BOARD: dict[str, Any] = json.loads(dashboard.PATH.read_text())
GRAPHS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Yield all expressions of the dashboard and of the alerts."""
    yield from (target["expr"] for graph in GRAPHS for target in graph["targets"])
    yield from (rule["expr"] for rule in ALERTS.values())


def series() -> dict[str, tuple[str, ...]]:
    """Return the labels of all series of ours, by their names in Prometheus."""
    scraped = {metric.name: metric.labels for metric in catalogue.SCRAPED}
    counted = {
        f"ray_{metric.name}{suffix}": metric.labels
        for metric in catalogue.COUNTED
        for suffix in _SUFFIXES[metric.type]
    }
    return {**scraped, **counted}


def test_the_file_is_the_one_that_the_tool_writes() -> None:
    assert dashboard.PATH.read_text() == dashboard.text()


def test_only_metrics_that_exist_are_used() -> None:
    used = {name for text in expressions() for name in _NAME.findall(text)}
    assert used - series().keys() - RAY.keys() == set()


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for graph in GRAPHS for target in graph["targets"])
    for metric in (*catalogue.SCRAPED, *catalogue.COUNTED):
        assert re.search(rf"(?:\b|ray_){metric.name}(?:_|\b)", shown), metric.name


def test_only_labels_that_exist_are_selected() -> None:
    known = series()
    for text in expressions():
        for name, selectors in _SELECTED.findall(text):
            asked = set(_LABEL.findall(selectors)) - _ADDED
            assert asked <= set(known[name]), f"{name}: {asked}"


def test_only_labels_that_exist_are_grouped_by() -> None:
    known = series()
    for text in expressions():
        labels = {
            label for name in _NAME.findall(text) for label in known.get(name, ())
        }
        for group in _GROUPED.findall(text):
            asked = {label.strip() for label in group.split(",")} - _ADDED
            assert asked <= labels, f"{text}: {asked - labels}"


@pytest.mark.parametrize("name", RAY)
def test_ray_defines_its_metrics(name: str) -> None:
    source = Path(ray.__file__).parent / RAY[name]
    assert f'"{name.removeprefix("ray_")}"' in source.read_text()


def test_every_expression_parses(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"expression:{number}",
            "expr": text.replace("$__rate_interval", "5m"),
        }
        for number, text in enumerate(expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    promtool.run("check", "rules", path)


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
