"""The definition of a metric."""

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    """The type of a metric, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """A metric, with its labels and, of a histogram, the upper bounds of its buckets.

    The number of values of each label must be bounded. No value may be a tenant, an id,
    a path or other text of clients.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def counter(name: str, help: str, *labels: str) -> Metric:
    """Return the definition of a counter."""
    return Metric(name, MetricType.COUNTER, help, labels)


def gauge(name: str, help: str, *labels: str) -> Metric:
    """Return the definition of a gauge."""
    return Metric(name, MetricType.GAUGE, help, labels)


def histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    """Return the definition of a histogram; `buckets` are positive and increase."""
    return Metric(name, MetricType.HISTOGRAM, help, labels, buckets)
