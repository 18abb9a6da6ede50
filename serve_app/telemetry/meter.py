"""The interface to what exports the metrics of a process."""

from typing import Protocol

from serve_app.telemetry.metric import Metric

# How often gauges must be set: Ray forgets those that it did not get for 20 s, and gets
# them every 10 s.
RENEW_SECONDS = 5.0


class Meter(Protocol):
    """Records metrics; never blocks for I/O, never raises, and is thread-safe.

    `labels` has a value for each label of the metric.
    """

    def count(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """Add `amount` to a counter."""

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """Set a gauge; see RENEW_SECONDS."""

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Add a value to a histogram."""


class NoMeter:
    """Records nothing."""

    def count(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """Do nothing."""

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """Do nothing."""

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Do nothing."""


NO_METER = NoMeter()
