"""A scrape is text that Prometheus reads, with every metric."""

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_app.storage.disks import DiskUsage
from serve_app.telemetry import catalogue
from serve_app.telemetry.exposition import Service, rendered
from serve_app.telemetry.scrape import Facts
from serve_app.telemetry.store import (
    DatabaseFacts,
    JobFacts,
    OutboxFacts,
    QueueFacts,
    TenantFacts,
)

SERVICE = Service("1.2.3", {"separation": "stems", "analysis": "stems"})
DISKS = {"data": DiskUsage(100, 40), "tmp": DiskUsage(10, 9)}
FULL = DatabaseFacts(
    JobFacts(
        {
            ("separation", "queued", ""): 3,
            ("separation", "failed", "file_lost"): 2,
            ("other", "queued", ""): 1,
        },
        {"separation": 1_000},
    ),
    {"separation": QueueFacts(12.5, 540.0)},
    {"separation": 1},
    {"webhook": OutboxFacts(4, 2, 9.0)},
    TenantFacts(7, (300.0, 20.0)),
)

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def read(facts: Facts) -> Samples:
    text, _ = rendered(facts, SERVICE, "")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"stemserve_{name}", tuple(sorted(labels.items()))]


def test_a_scrape_has_every_metric_with_its_labels() -> None:
    samples = read(Facts(FULL, True, DISKS))
    assert {name for name, _ in samples} == {each.name for each in catalogue.SCRAPED}
    labels = {each.name: set(each.labels) for each in catalogue.SCRAPED}
    for name, given in samples:
        assert {label for label, _ in given} == labels[name]


def test_values_are_those_of_the_facts() -> None:
    samples = read(Facts(FULL, False, DISKS))
    songs = {"system": "stems", "kind": "separation"}
    failed = {**songs, "state": "failed", "reason": "file_lost"}
    assert value(samples, "build_info", version="1.2.3") == 1
    assert value(samples, "database_up") == 1
    assert value(samples, "storage_up") == 0
    assert value(samples, "jobs", **songs, state="queued", reason="") == 3
    assert value(samples, "jobs", **failed) == 2
    assert value(samples, "queue_oldest_seconds", **songs) == 12.5
    assert value(samples, "queue_audio_seconds", **songs) == 540
    assert value(samples, "running_lease_expired", **songs) == 1
    assert value(samples, "outbox_messages", channel="webhook", state="waiting") == 4
    assert value(samples, "outbox_messages", channel="webhook", state="dead") == 2
    assert value(samples, "outbox_oldest_seconds", channel="webhook") == 9
    assert value(samples, "stored_bytes", kind="separation") == 1_000
    assert value(samples, "disk_free_bytes", place="data") == 40
    assert value(samples, "disk_size_bytes", place="tmp") == 10
    assert value(samples, "tenant_audio_seconds_today", rank="2") == 20
    assert value(samples, "tenants_today") == 7


def test_without_jobs_there_are_zeros() -> None:
    """A metric that appears with the first failure hides that failure."""
    samples = read(Facts(DatabaseFacts(), True, DISKS))
    for kind in ("separation", "analysis"):
        labels = {"system": "stems", "kind": kind}
        for state in ("queued", "running", "succeeded", "failed", "cancelled"):
            assert value(samples, "jobs", **labels, state=state, reason="") == 0
        assert value(samples, "queue_oldest_seconds", **labels) == 0
        assert value(samples, "stored_bytes", kind=kind) == 0
    assert value(samples, "outbox_messages", channel="webhook", state="dead") == 0
    assert value(samples, "tenants_today") == 0


def test_a_kind_of_another_application_has_no_system() -> None:
    samples = read(Facts(FULL, True, DISKS))
    labels = {"system": "", "kind": "other", "state": "queued", "reason": ""}
    assert value(samples, "jobs", **labels) == 1


def test_a_database_that_is_down_tells_nothing_else() -> None:
    samples = read(Facts(None, True, DISKS))
    assert value(samples, "database_up") == 0
    assert {name for name, _ in samples} == {
        *("stemserve_build_info", "stemserve_database_up", "stemserve_storage_up"),
        *("stemserve_disk_free_bytes", "stemserve_disk_size_bytes"),
    }


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_form_is_one_that_the_client_accepts(accept: str, media_type: str) -> None:
    text, found = rendered(Facts(FULL, True, DISKS), SERVICE, accept)
    assert found.startswith(media_type)
    assert b"stemserve_jobs{" in text
