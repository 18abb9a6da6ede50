"""Metrics of a replica, exported by Ray."""

import logging
from typing import Any

from ray.serve import metrics as ray_metrics

from serve_app.telemetry.metric import Metric, MetricType

logger = logging.getLogger(__name__)


class RayMeter:
    """Records metrics of a replica; see `Meter`.

    Ray's agent on the machine exports them, with the application, deployment and
    replica as more labels. It gets them every 10 s.
    """

    def __init__(self) -> None:
        self._instruments: dict[str, Any] = {}

    def count(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """Add `amount` to a counter."""
        # Ray accepts no zero.
        if amount > 0:
            self._record("inc", metric, amount, labels)

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._record("set", metric, value, labels)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        self._record("observe", metric, value, labels)

    def _record(
        self, method: str, metric: Metric, value: float, labels: dict[str, str]
    ) -> None:
        try:
            if metric.name not in self._instruments:
                self._instruments[metric.name] = _made(metric)
            getattr(self._instruments[metric.name], method)(value, labels)
        except Exception:
            # It must not stop the work that it measures.
            logger.exception("metric not recorded name=%s", metric.name)


def _made(metric: Metric) -> Any:
    arguments = {"description": metric.help, "tag_keys": metric.labels}
    match metric.type:
        case MetricType.COUNTER:
            return ray_metrics.Counter(metric.name, **arguments)
        case MetricType.GAUGE:
            return ray_metrics.Gauge(metric.name, **arguments)
        case MetricType.HISTOGRAM:
            boundaries = list(metric.buckets)
            return ray_metrics.Histogram(
                metric.name, boundaries=boundaries, **arguments
            )
