"""What operators look at, from the same sources as the metrics."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serve_app.telemetry.recent import RecentFacts
from serve_app.telemetry.scrape import WAIT_SECONDS, Facts, Scraper, Source

FRESH_SECONDS = 2.0


@dataclass(frozen=True)
class PoolFacts:
    """The replicas of a pool that run, and those that start."""

    running: int
    starting: int


@dataclass(frozen=True)
class OperationsFacts:
    """The facts of one moment; `recent` and `pools` are None if they can't be read."""

    scraped: Facts
    recent: RecentFacts | None
    pools: Mapping[str, PoolFacts] | None


class Operations:
    """Reads the facts, each within a limited time. For one event loop.

    `read_recent` and `read_pools` block.
    """

    def __init__(
        self,
        scraper: Scraper,
        read_recent: Callable[[], RecentFacts],
        read_pools: Callable[[], Mapping[str, PoolFacts]],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._scraper = scraper
        self._recent = Source("recent jobs", read_recent, wait_seconds)
        self._pools = Source("pools", read_pools, wait_seconds)
        self._facts: OperationsFacts | None = None
        self._read_at = float("-inf")

    async def facts(self) -> OperationsFacts:
        """Return facts that are at most `FRESH_SECONDS` old.

        Those that the metrics have too are as old as there.
        """
        if self._facts is None or time.monotonic() - self._read_at > FRESH_SECONDS:
            scraped, recent, pools = await asyncio.gather(
                self._scraper.facts(), self._recent.value(), self._pools.value()
            )
            self._facts = OperationsFacts(scraped, recent, pools)
            self._read_at = time.monotonic()
        return self._facts
