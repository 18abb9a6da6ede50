"""A meter that remembers what it was told."""

from serve_app.telemetry.metric import Metric, MetricType

Labels = tuple[tuple[str, str], ...]


class Tally:
    """Keeps all values by metric and labels, and checks their names."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, Labels], list[float]] = {}

    def count(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """Take a count."""
        self._take(metric, MetricType.COUNTER, amount, labels)

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """Take the value of a gauge."""
        self._take(metric, MetricType.GAUGE, value, labels)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Take a value of a histogram."""
        self._take(metric, MetricType.HISTOGRAM, value, labels)

    def of(self, metric: Metric, **labels: str) -> list[float]:
        """Return the values of a metric with these labels, in order."""
        return self.values.get((metric.name, _key(labels)), [])

    def _take(
        self, metric: Metric, type: MetricType, value: float, labels: dict[str, str]
    ) -> None:
        assert metric.type is type
        assert set(labels) == set(metric.labels), metric.name
        self.values.setdefault((metric.name, _key(labels)), []).append(value)


def _key(labels: dict[str, str]) -> Labels:
    return tuple(sorted((name, str(value)) for name, value in labels.items()))
