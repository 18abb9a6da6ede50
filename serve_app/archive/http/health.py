"""The archive's fields of /health."""

import asyncio
from collections.abc import Mapping
from typing import Any

from serve_app.api.health import checked
from serve_app.archive.http.services import ArchiveServices

NAMES = ("worker_running", "storage_accounts", "cf_workers_configured")


async def of(services: ArchiveServices) -> Mapping[str, Any]:
    """Return the fields of /health: `ready`, `reason` if anything is wrong, facts."""
    checks = await asyncio.gather(
        checked("The dispatcher", services.status()),
        checked("The job database", asyncio.to_thread(services.media.counts)),
    )
    (status, no_status), (_, no_counts) = checks
    is_running = no_status is None and (status or {}).get("ready", True)
    trouble = (status or {}).get("old_tables", {}).get("trouble")
    reasons = [each for each in (no_status, no_counts, trouble) if each]
    if not services.secret:
        reasons.append("No trigger is accepted: STEMSERVE_ARCHIVE_SECRET is not set.")
    report: dict[str, Any] = {
        "ready": is_running and no_counts is None,
        "worker_running": is_running,
        "storage_accounts": services.stores,
        "cf_workers_configured": bool(services.url),
    }
    if reasons:
        report["reason"] = " ".join(reasons)
    return report
