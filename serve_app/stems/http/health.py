"""How songs are doing: their pools, their queue, their files and their disks."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from serve_app.api.health import asked
from serve_app.api.wire import DiskHealth, QueueHealth
from serve_app.jobs.job import State
from serve_app.stems.http.services import StemsServices

# A good part of the shortest lease that makes sense.
MOST_SKEW_SECONDS = 2.0


async def of(services: StemsServices) -> Mapping[str, Any]:
    """Return what /health says: `ready`, `reason` if anything is wrong, and facts."""
    reserve = services.arrivals.reserve
    looks = await asyncio.gather(
        asked("The pools", services.health()),
        asked("The job database", asyncio.to_thread(_look_at_jobs, services)),
        asked("The store of files", asyncio.to_thread(_probe, services)),
        asked("The disk", asyncio.to_thread(reserve.free_bytes)),
    )
    (pools, no_pools), (jobs, no_jobs), (_, no_storage), (free_bytes, _) = looks
    report: dict[str, Any] = dict(pools or {"ready": False})
    jobs_bytes = None
    limit = services.limits.max_queued_jobs
    failures = [failure for failure in (no_pools, no_jobs, no_storage) if failure]
    if jobs is not None:
        counts, jobs_bytes, skew_seconds = jobs
        # Those that were deleted are only there until they can be forgotten.
        kept = [count for state, count in counts.items() if state != State.CANCELLED]
        report["jobs_count"] = sum(kept)
        report["queue"] = _queue(counts, limit)
        if abs(skew_seconds) > MOST_SKEW_SECONDS:
            report["reason"] = (
                f"This machine's clock differs from the database's by "
                f"{skew_seconds:+.0f} s: leases rely on it. Set both by NTP."
            )
        if report["queue"].queued >= limit:
            report["reason"] = "The queue is full: songs are refused for now."
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
        report["reason"] = report.get("reason") or "The models are being loaded."
    return {**report, "ready": is_ready, "storage": {"ok": no_storage is None}}


def _look_at_jobs(services: StemsServices) -> tuple[Mapping[State, int], int, float]:
    jobs = services.jobs
    return jobs.counts(), jobs.disk_bytes(), jobs.skew_seconds()


def _queue(counts: Mapping[State, int], limit: int) -> QueueHealth:
    return QueueHealth(
        queued=counts.get(State.QUEUED, 0),
        running=counts.get(State.RUNNING, 0),
        max_queued=limit,
    )


def _probe(services: StemsServices) -> None:
    """Ask the store for a file that it need not have; an error is an answer too."""
    with suppress(FileNotFoundError):
        services.storage.stat("health/probe")
