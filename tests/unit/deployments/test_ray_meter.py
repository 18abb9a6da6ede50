"""Ray takes every metric, and one that it does not take stops nothing."""

import logging

import pytest

from deployments.ray_meter import RayMeter
from serve_app.telemetry import catalogue
from serve_app.telemetry.metric import Metric, MetricType


def record(meter: RayMeter, metric: Metric) -> None:
    """Record a value of a metric."""
    labels = dict.fromkeys(metric.labels, "x")
    match metric.type:
        case MetricType.COUNTER:
            meter.count(metric, **labels)
        case MetricType.GAUGE:
            meter.set(metric, 0, **labels)
        case MetricType.HISTOGRAM:
            meter.observe(metric, 0.5, **labels)


@pytest.mark.parametrize("metric", catalogue.COUNTED, ids=lambda metric: metric.name)
def test_ray_takes_each_metric(
    metric: Metric, caplog: pytest.LogCaptureFixture
) -> None:
    meter = RayMeter()
    record(meter, metric)
    record(meter, metric)
    assert caplog.records == []


def test_a_count_of_nothing_is_none(caplog: pytest.LogCaptureFixture) -> None:
    RayMeter().count(catalogue.AUDIO_SECONDS, 0.0, system="stems")
    assert caplog.records == []


def test_a_metric_that_is_wrong_is_logged_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        RayMeter().count(catalogue.AUDIO_SECONDS, 1.0)
    assert "metric not recorded name=stemserve_audio_seconds" in caplog.text
