"""The health of stems: its pools, queue, storage and disks."""

import asyncio
from collections.abc import Mapping
from typing import Any

from serve_app.api.health import checked
from serve_app.api.wire import DiskHealth, QueueHealth
from serve_app.jobs.job import State
from serve_app.stems.http.services import StemsServices
from serve_app.storage.probe import probe

# A large share of the shortest useful lease.
MOST_SKEW_SECONDS = 2.0


async def of(services: StemsServices) -> Mapping[str, Any]:
    """Return the fields of /health: `ready`, `reason` if anything is wrong, facts."""
    reserve = services.arrivals.reserve
    checks = await asyncio.gather(
        checked("The pools", services.health()),
        checked("The job database", asyncio.to_thread(_queue_facts, services)),
        checked("The file storage", asyncio.to_thread(probe, services.storage)),
        checked("The disk", asyncio.to_thread(reserve.free_bytes)),
    )
    (pools, no_pools), (jobs, no_jobs), (_, no_storage), (free_bytes, _) = checks
    report: dict[str, Any] = dict(pools or {"ready": False})
    jobs_bytes = None
    limit = services.limits.max_queued_jobs
    failures = [failure for failure in (no_pools, no_jobs, no_storage) if failure]
    if jobs is not None:
        counts, analysis_counts, jobs_bytes, skew_seconds = jobs
        # Deleted jobs keep their rows only until they can be removed.
        kept = [count for state, count in counts.items() if state != State.CANCELLED]
        report["jobs_count"] = sum(kept)
        report["queue"] = _queue(counts, limit)
        report["analysis_queue"] = _queue(analysis_counts, limit)
        if abs(skew_seconds) > MOST_SKEW_SECONDS:
            report["reason"] = (
                f"This machine's clock differs from the database's by "
                f"{skew_seconds:+.0f} s, but leases need equal clocks. Synchronise "
                "both by NTP."
            )
        if report["analysis_queue"].queued >= limit:
            report["reason"] = (
                f"The queue of analyses is full: {limit} jobs wait. New ones are "
                "refused until one starts."
            )
        if report["queue"].queued >= limit:
            report["reason"] = (
                f"The queue is full: {limit} jobs wait. New songs are refused until "
                "one starts."
            )
    if free_bytes:
        lack = reserve.lack(free_bytes)
        report["disk"] = DiskHealth(
            ok=lack is None,
            reserve_bytes=reserve.reserve_bytes,
            free_bytes=dict(free_bytes),
            jobs_bytes=jobs_bytes,
        )
        report["reason"] = lack or report.get("reason")
    is_ready = bool(report.get("ready")) and not failures
    if failures:
        report["reason"] = " ".join(failures)
    elif not is_ready:
        report["reason"] = report.get("reason") or "The models are loading."
    return {**report, "ready": is_ready, "storage": {"ok": no_storage is None}}


def _queue_facts(
    services: StemsServices,
) -> tuple[Mapping[State, int], Mapping[State, int], int, float]:
    jobs, analyses = services.jobs, services.analysis_jobs
    return jobs.counts(), analyses.counts(), jobs.disk_bytes(), jobs.skew_seconds()


def _queue(counts: Mapping[State, int], limit: int) -> QueueHealth:
    return QueueHealth(
        queued=counts.get(State.QUEUED, 0),
        running=counts.get(State.RUNNING, 0),
        max_queued=limit,
    )
