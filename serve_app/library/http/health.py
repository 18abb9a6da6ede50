"""The health of the library."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from serve_app.api.health import checked
from serve_app.jobs.job import State
from serve_app.library.http.services import LibraryServices

router = APIRouter(tags=["library"])

_UNAVAILABLE = 503
_TOLD = (State.QUEUED, State.RUNNING, State.FAILED)


@router.get("/library/health", summary="Health of the library")
async def get_health(request: Request) -> JSONResponse:
    """Report whether the library takes tasks: 200, or 503 with the reason."""
    found = await of(request.app.state.library)
    return JSONResponse(dict(found), 200 if found["ready"] else _UNAVAILABLE)


async def of(services: LibraryServices) -> Mapping[str, Any]:
    """Return the fields of /health: `ready`, `reason` if anything is wrong, facts."""
    checks = await asyncio.gather(
        checked("The dispatcher", services.status()),
        checked("The job database", asyncio.to_thread(_counts, services)),
        checked("The outbox", asyncio.to_thread(services.failing)),
        checked("The bucket", asyncio.to_thread(services.probe)),
    )
    (status, no_status), (counts, no_counts), (failing, _), (_, no_bucket) = checks
    trouble = (status or {}).get("inlet", {}).get("trouble")
    reasons = [each for each in (no_status, no_counts, no_bucket, trouble) if each]
    report: dict[str, Any] = {
        "ready": not reasons,
        "tasks": counts,
        "webhooks": {"failing": failing},
    }
    if reasons:
        report["reason"] = " ".join(reasons)
    return report


def _counts(services: LibraryServices) -> Mapping[str, int]:
    """Return how many tasks wait, run and have failed."""
    counts = Counter[State]()
    for store in services.stores.values():
        # Those that have ended well are kept for long, and are many.
        counts.update(store.counts(_TOLD))
    return {state.value: counts[state] for state in _TOLD}
