"""The metrics follow the conventions of Prometheus."""

import re
from pathlib import Path

import pytest

from serve_app.telemetry import catalogue
from serve_app.telemetry.metric import Metric, MetricType

ALL = (*catalogue.SCRAPED, *catalogue.COUNTED)
OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
# Ray adds these to the metrics of a replica.
OF_RAY = {"application", "deployment", "replica"}


def test_the_lists_have_every_metric_once() -> None:
    defined = [each for each in vars(catalogue).values() if isinstance(each, Metric)]
    assert sorted(each.name for each in ALL) == sorted(each.name for each in defined)
    assert len({each.name for each in ALL}) == len(ALL)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_are_what_prometheus_accepts(metric: Metric) -> None:
    assert re.fullmatch(r"stemserve(_[a-z]+)+", metric.name)
    # Exporters add these.
    assert not metric.name.endswith(("_total", "_sum", "_count", "_bucket"))
    for label in metric.labels:
        assert re.fullmatch(r"[a-z]+", label)
    assert not OF_RAY & set(metric.labels)
    assert metric.help.endswith(".")


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_is_documented_with_its_labels(metric: Metric) -> None:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    assert f"`{metric.name}{labels}`" in OPERATIONS


@pytest.mark.parametrize("metric", catalogue.COUNTED, ids=lambda metric: metric.name)
def test_buckets_increase_and_are_positive(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.type is MetricType.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert all(bound > 0 for bound in metric.buckets)
