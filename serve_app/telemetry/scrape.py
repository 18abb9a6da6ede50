"""The values of a scrape, each within a limited time."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from serve_app.errors import AppError
from serve_app.jobs.log import quoted
from serve_app.storage.disks import DiskUsage, usages
from serve_app.telemetry.store import DatabaseFacts

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How old the values of a scrape may be: several Prometheus servers cost as much as one.
FRESH_SECONDS = 5.0
# Prometheus waits for 10 s by default.
WAIT_SECONDS = 3.0


@dataclass(frozen=True)
class Sources:
    """Where the values come from; both calls block.

    `probe_storage` raises unless the file storage responds. `directories` are named by
    their `place`.
    """

    read_database: Callable[[], DatabaseFacts]
    probe_storage: Callable[[], None]
    directories: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """The values of a scrape; `database` is None if it does not respond."""

    database: DatabaseFacts | None
    is_storage_up: bool
    disks: Mapping[str, DiskUsage]


class Scraper:
    """Reads the values for scrapes. For one event loop."""

    def __init__(self, sources: Sources, wait_seconds: float = WAIT_SECONDS) -> None:
        self._database = Source("database", sources.read_database, wait_seconds)
        self._storage = Source(
            "storage", lambda: _succeeds(sources.probe_storage), wait_seconds
        )
        self._disks = Source("disks", lambda: usages(sources.directories), wait_seconds)
        self._facts: Facts | None = None
        self._read_at = float("-inf")

    async def facts(self) -> Facts:
        """Return values that are at most `FRESH_SECONDS` old."""
        if self._facts is None or time.monotonic() - self._read_at > FRESH_SECONDS:
            database, is_storage_up, disks = await asyncio.gather(
                self._database.value(), self._storage.value(), self._disks.value()
            )
            self._facts = Facts(database, bool(is_storage_up), disks or {})
            self._read_at = time.monotonic()
        return self._facts


class Source(Generic[T]):
    """A blocking call, of which at most one runs at a time, however long it takes."""

    def __init__(self, name: str, call: Callable[[], T], wait_seconds: float) -> None:
        self._name = name
        self._call = call
        self._wait_seconds = wait_seconds
        self._running: asyncio.Task[T] | None = None

    async def value(self) -> T | None:
        """Return the result of a call, or None if it fails or takes too long."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(self._call))
            # Marks an error as retrieved: the scrape may have ended before.
            self._running.add_done_callback(_retrieve)
        running = self._running
        done, _ = await asyncio.wait({running}, timeout=self._wait_seconds)
        if not done:
            logger.warning(
                "metrics source does not respond source=%s waited=%.1fs",
                *(self._name, self._wait_seconds),
            )
            return None
        error = running.exception()
        if error is None:
            return running.result()
        # Of an expected error, the traceback says nothing more.
        trace = None if isinstance(error, AppError) else error
        line = "metrics source failed source=%s error=%s"
        logger.warning(line, self._name, quoted(str(error)), exc_info=trace)
        return None


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _succeeds(call: Callable[[], Any]) -> bool:
    call()
    return True
