"""What the parts of an application say of themselves, and how soon that is known."""

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

# How old an answer may be, and how long whoever asks waits for a newer one.
FRESH_SECONDS = 1.0
WAIT_SECONDS = 0.25
# How long all parts together, one of them, and one thing that it looks at may take:
# what takes longest is told as such. Probes of load balancers commonly wait 5 s.
READY_SECONDS = 4.0
PART_SECONDS = 3.5
LOOK_SECONDS = 3.0

_STARTING: Mapping[str, Any] = {"ready": False, "reason": "The service is starting."}


class HealthProbe:
    """Asks all parts how they are, at most once at a time, and remembers it.

    The parts' fields are at the top of the report. `ready` and `status` are the worst
    of all parts, and `reason` has the reasons of all. A name in a part's `health_names`
    is that part's, also while it has no value; of any other name that two parts have,
    the later part in the configuration counts. With several parts, each has its own
    fields under `systems` as well.
    """

    def __init__(self, parts: Sequence[ApiPart], clock: Callable[[], datetime]) -> None:
        self._parts = [part for part in parts if part.health is not None]
        self._owners = {
            name: part.name for part in self._parts for name in part.health_names
        }
        self._clock = clock
        self._report: Mapping[str, Any] | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[Mapping[str, Any]] | None = None

    async def report(self, wait_seconds: float = WAIT_SECONDS) -> Mapping[str, Any]:
        """Return the newest report that is there within so many seconds."""
        if self._report is not None and self._age_seconds() < FRESH_SECONDS:
            return self._report
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # Not cancelled with whoever waits: the next one wants it, too.
        done, _ = await asyncio.wait({self._asking}, timeout=wait_seconds)
        if done:
            return self._asking.result()
        return self._report or self._merged({})

    def _age_seconds(self) -> float:
        return time.monotonic() - self._asked_at

    async def _ask(self) -> Mapping[str, Any]:
        told = await asyncio.gather(*(self._asked(part) for part in self._parts))
        names = (part.name for part in self._parts)
        self._report = self._merged(dict(zip(names, told, strict=True)))
        self._asked_at = time.monotonic()
        return self._report

    async def _asked(self, part: ApiPart) -> Mapping[str, Any]:
        assert part.health is not None  # noqa: S101  for the types
        told, failure = await _asked(part.name, part.health(), PART_SECONDS)
        return told if told is not None else {"ready": False, "reason": failure}

    def _merged(self, told: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return one report of all parts; see the class."""
        report: dict[str, Any] = {}
        for part, fields in told.items():
            report |= {
                name: value
                for name, value in fields.items()
                if self._owners.get(name, part) == part
            }
        systems = [told.get(part.name, _STARTING) for part in self._parts]
        is_ready = all(fields.get("ready", False) for fields in systems)
        told_reasons = (fields.get("reason") for fields in systems)
        reasons = list(dict.fromkeys(str(reason) for reason in told_reasons if reason))
        status = "degraded" if reasons else "ok"
        if len(told) > 1:
            report["systems"] = {name: dict(fields) for name, fields in told.items()}
        return {
            **report,
            "ready": is_ready,
            "reason": " ".join(reasons) or None,
            "status": status if is_ready else "unavailable",
            "timestamp": self._clock(),
        }


async def asked(whom: str, question: Awaitable[T]) -> tuple[T | None, str | None]:
    """Return the answer to a part's question, or what to say when there is none."""
    return await _asked(whom, question, LOOK_SECONDS)


async def _asked(
    whom: str, question: Awaitable[T], timeout_seconds: float
) -> tuple[T | None, str | None]:
    try:
        return await asyncio.wait_for(question, timeout_seconds), None
    except AppError as err:
        return None, err.detail
    except Exception as err:
        # Whatever it is, the one who asks after our health is to be told.
        logger.exception("health check failed part=%s", whom)
        return None, f"{whom} failed ({type(err).__name__}); see the log."
