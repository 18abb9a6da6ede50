"""The values of a scrape as metrics of Prometheus."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from serve_app.jobs.job import State
from serve_app.telemetry import catalogue
from serve_app.telemetry.metric import Metric
from serve_app.telemetry.scrape import Facts
from serve_app.telemetry.store import DatabaseFacts, OutboxFacts, QueueFacts
from serve_app.webhooks.message import WEBHOOK

# A value, after those of its labels.
Sample = tuple[tuple[str, ...], float]

_CHANNELS = (WEBHOOK,)


@dataclass(frozen=True)
class Service:
    """The version of the service, and the systems of its kinds of jobs.

    Kinds of other applications that share the database have an empty system.
    """

    version: str
    systems: Mapping[str, str]


def rendered(facts: Facts, service: Service, accept: str) -> tuple[bytes, str]:
    """Return the metrics in a form that the client accepts, and its media type."""
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Collector(facts, service))
    return encode(registry), media_type


# A registry needs it by its identity.
@dataclass(frozen=True, eq=False)
class _Collector:
    """Gives the metrics to a registry of prometheus_client."""

    facts: Facts
    service: Service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all metrics, in the order of the catalogue."""
        samples = dict(_samples(self.facts, self.service))
        for metric in catalogue.SCRAPED:
            if metric not in samples:
                continue
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in samples[metric]:
                family.add_metric(labels, value)
            yield family


def _samples(
    facts: Facts, service: Service
) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    yield catalogue.BUILD_INFO, [((service.version,), 1)]
    yield catalogue.DATABASE_UP, [((), facts.database is not None)]
    yield catalogue.STORAGE_UP, [((), facts.is_storage_up)]
    disks = facts.disks.items()
    yield (
        catalogue.DISK_FREE_BYTES,
        [((place,), disk.free_bytes) for place, disk in disks],
    )
    yield (
        catalogue.DISK_SIZE_BYTES,
        [((place,), disk.size_bytes) for place, disk in disks],
    )
    if facts.database is not None:
        yield from _of_jobs(facts.database, service)
        yield from _of_outbox(facts.database.outbox)
        yield from _of_tenants(facts.database)


def _of_jobs(
    facts: DatabaseFacts, service: Service
) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    known, stored = service.systems, facts.jobs.stored_bytes
    # A metric that appears with its first job has no rate before the second.
    none = {(kind, state.value, ""): 0 for kind in known for state in State}
    jobs = {**none, **facts.jobs.jobs}
    kinds = sorted({*known, *(kind for kind, _, _ in jobs)})
    keys = {kind: (known.get(kind, ""), kind) for kind in kinds}
    queues = {kind: facts.queues.get(kind, QueueFacts()) for kind in kinds}
    yield (
        catalogue.JOBS,
        [((*keys[key[0]], *key[1:]), number) for key, number in sorted(jobs.items())],
    )
    yield (
        catalogue.QUEUE_OLDEST_SECONDS,
        [(keys[kind], queues[kind].oldest_seconds) for kind in kinds],
    )
    yield (
        catalogue.QUEUE_AUDIO_SECONDS,
        [(keys[kind], queues[kind].audio_seconds) for kind in kinds],
    )
    yield (
        catalogue.RUNNING_LEASE_EXPIRED,
        [(keys[kind], facts.leases_expired.get(kind, 0)) for kind in kinds],
    )
    yield catalogue.STORED_BYTES, [((kind,), stored.get(kind, 0)) for kind in kinds]


def _of_outbox(
    outbox: Mapping[str, OutboxFacts],
) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    channels = sorted({*_CHANNELS, *outbox})
    found = {channel: outbox.get(channel, OutboxFacts()) for channel in channels}
    waiting = [((name, "waiting"), each.waiting) for name, each in found.items()]
    dead = [((name, "dead"), each.dead) for name, each in found.items()]
    yield catalogue.OUTBOX_MESSAGES, [*waiting, *dead]
    yield (
        catalogue.OUTBOX_OLDEST_SECONDS,
        [((name,), each.oldest_seconds) for name, each in found.items()],
    )


def _of_tenants(
    facts: DatabaseFacts,
) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    most = facts.tenants.most_audio_seconds
    yield (
        catalogue.TENANT_AUDIO_SECONDS_TODAY,
        [((str(rank),), seconds) for rank, seconds in enumerate(most, start=1)],
    )
    yield catalogue.TENANTS_TODAY, [((), facts.tenants.tenants)]
