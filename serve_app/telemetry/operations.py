"""What operators look at, from the same sources as the metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from serve_app.telemetry.recent import RecentFacts
from serve_app.telemetry.scrape import WAIT_SECONDS, Facts, Scraper, Source

FRESH_SECONDS = 2.0


@dataclass(frozen=True)
class PoolFacts:
    """The replicas of a pool that run, those that start, and the wanted number."""

    running: int
    starting: int
    target: int


@dataclass(frozen=True)
class OperationsFacts:
    """The facts of one moment; all but `scraped` are None if they can't be read.

    `batch_fill_ratio` is also None if there were no batches in the last minutes.
    """

    scraped: Facts
    recent: RecentFacts | None
    pools: Mapping[str, PoolFacts] | None
    batch_fill_ratio: float | None


async def _unknown() -> None:
    return None


class Operations:
    """Reads the facts, each within a limited time. For one event loop.

    `read_recent` and `read_pools` block. `read_batch_fill` limits its time itself and
    raises nothing.
    """

    def __init__(
        self,
        scraper: Scraper,
        read_recent: Callable[[], RecentFacts],
        read_pools: Callable[[], Mapping[str, PoolFacts]],
        read_batch_fill: Callable[[], Awaitable[float | None]] = _unknown,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._scraper = scraper
        self._recent = Source("recent jobs", read_recent, wait_seconds)
        self._pools = Source("pools", read_pools, wait_seconds)
        self._read_batch_fill = read_batch_fill
        self._facts: OperationsFacts | None = None
        self._read_at = float("-inf")

    async def facts(self) -> OperationsFacts:
        """Return facts that are at most `FRESH_SECONDS` old.

        Those that the metrics have too are as old as there.
        """
        if self._facts is None or time.monotonic() - self._read_at > FRESH_SECONDS:
            scraped, recent, pools, batch_fill_ratio = await asyncio.gather(
                self._scraper.facts(),
                self._recent.value(),
                self._pools.value(),
                self._read_batch_fill(),
            )
            self._facts = OperationsFacts(scraped, recent, pools, batch_fill_ratio)
            self._read_at = time.monotonic()
        return self._facts
