"""The health report of an application: checks of its systems, cached."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from serve_app.api.part import ApiPart
from serve_app.errors import AppError

logger = logging.getLogger(__name__)
T = TypeVar("T")

# How old a cached report may be, and how long a request waits for a newer one.
FRESH_SECONDS = 1.0
WAIT_SECONDS = 0.25
# Timeouts of the whole report, of one system, and of one of its checks. The innermost
# is the shortest, so that the report names the check that hangs. Probes of load
# balancers commonly time out after 5 s.
READY_SECONDS = 4.0
PART_SECONDS = 3.5
CHECK_SECONDS = 3.0

_STARTING: Mapping[str, Any] = {"ready": False, "reason": "The service is starting."}


class HealthProbe:
    """Check the health of all systems, one run at a time, and cache the report.

    The fields of all systems are at the top level of the report. `ready` and `status`
    are the worst of all systems, and `reason` has the reasons of all. A name in a
    part's `health_names` is always that part's, even if it has no value; of any other
    name that two systems have, the one configured later wins. With several systems,
    each has its own fields under `systems` as well.
    """

    def __init__(
        self,
        parts: Sequence[ApiPart],
        clock: Callable[[], datetime],
        is_open: Callable[[], Awaitable[bool]],
    ) -> None:
        self._parts = [part for part in parts if part.health is not None]
        self._owners = {
            name: part.name for part in self._parts for name in part.health_names
        }
        statuses = {part.healthy_status for part in self._parts}
        self._healthy = "healthy" if "healthy" in statuses else "ok"
        self._clock = clock
        self._is_open = is_open
        self._access: str | None = None
        self._report: Mapping[str, Any] | None = None
        self._checked_at = float("-inf")
        self._check: asyncio.Task[Mapping[str, Any]] | None = None

    async def report(self, wait_seconds: float = WAIT_SECONDS) -> Mapping[str, Any]:
        """Return the newest report that is available within `wait_seconds`."""
        if self._report is not None and self._age_seconds() < FRESH_SECONDS:
            return self._report
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._check_all())
        # The check goes on when a request is cancelled: later requests use its result.
        done, _ = await asyncio.wait({self._check}, timeout=wait_seconds)
        if done:
            return self._check.result()
        return self._report or self._merged({})

    def _age_seconds(self) -> float:
        return time.monotonic() - self._checked_at

    async def _check_all(self) -> Mapping[str, Any]:
        reports = await asyncio.gather(*(self._check_one(part) for part in self._parts))
        is_open, _ = await checked("The access control", self._is_open())
        self._access = None if is_open is None else "open" if is_open else "required"
        names = (part.name for part in self._parts)
        self._report = self._merged(dict(zip(names, reports, strict=True)))
        self._checked_at = time.monotonic()
        return self._report

    async def _check_one(self, part: ApiPart) -> Mapping[str, Any]:
        assert part.health is not None  # noqa: S101  for the types
        report, failure = await _checked(part.name, part.health(), PART_SECONDS)
        return report if report is not None else {"ready": False, "reason": failure}

    def _merged(self, reports: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return one report of all systems; see the class."""
        report: dict[str, Any] = {}
        for part, fields in reports.items():
            report |= {
                name: value
                for name, value in fields.items()
                if self._owners.get(name, part) == part
            }
        systems = [reports.get(part.name, _STARTING) for part in self._parts]
        is_ready = all(fields.get("ready", False) for fields in systems)
        all_reasons = (fields.get("reason") for fields in systems)
        reasons = list(dict.fromkeys(str(reason) for reason in all_reasons if reason))
        status = "degraded" if reasons else self._healthy
        if len(reports) > 1:
            report["systems"] = {name: dict(fields) for name, fields in reports.items()}
        return {
            **report,
            "ready": is_ready,
            "reason": " ".join(reasons) or None,
            "status": status if is_ready else "unavailable",
            "access": self._access,
            "timestamp": self._clock(),
        }


async def checked(name: str, check: Awaitable[T]) -> tuple[T | None, str | None]:
    """Return the result of a check, or None and the reason why it failed."""
    return await _checked(name, check, CHECK_SECONDS)


async def _checked(
    name: str, check: Awaitable[T], timeout_seconds: float
) -> tuple[T | None, str | None]:
    try:
        return await asyncio.wait_for(check, timeout_seconds), None
    except AppError as err:
        return None, err.detail
    except Exception as err:
        # Any failure is a result: /health must report it.
        logger.exception("health check failed check=%r", name)
        return None, f"{name} failed ({type(err).__name__}); see the log."
