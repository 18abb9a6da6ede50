"""The rates of clients' requests, and their headers."""

import time
from dataclasses import dataclass
from math import ceil

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from serve_app.api.clients import Client
from serve_app.errors import AppError, QuotaExceeded

_WINDOW_SECONDS = 60
# Each client has at most two, for two windows: together about 3 MB.
_MOST_COUNTERS = 10_000


@dataclass(frozen=True)
class Rate:
    """The limit of a client in a minute, and what is left of it.

    More is allowed after `reset_seconds`. `is_exceeded` is for a request above it.
    """

    limit: int
    remaining: int
    reset_seconds: int
    is_exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"minute";q={self.limit};w={_WINDOW_SECONDS}',
            "RateLimit": f'"minute";r={self.remaining};t={self.reset_seconds}',
        }

    def refusal(self) -> AppError | None:
        """Return the error of a request above the limit, else None."""
        if not self.is_exceeded:
            return None
        return QuotaExceeded(
            f"You have sent {self.limit} requests in a minute, which is your quota. "
            f"Try again in {self.reset_seconds} seconds.",
            self.reset_seconds,
        )


class _PerMinute(RateLimitItemPerMinute):
    """A limit whose counter does not depend on it: keys of a tenant may differ."""

    def key_for(self, *identifiers: str | bytes | float) -> str:
        """Return the name of a client's counter."""
        return "/".join(map(str, identifiers))


class Rates:
    """Counts requests by sliding windows of a minute, in memory.

    If there are more clients than fit, all are forgotten: none is refused for that.
    """

    def __init__(self, most_counters: int = _MOST_COUNTERS) -> None:
        self._most_counters = most_counters
        self._counters = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._counters)

    def __len__(self) -> int:
        return len(self._counters.storage)

    def count(self, client: Client, limit: int) -> Rate:
        """Count a request of a client, unless it exceeds the limit of a minute."""
        if len(self) >= self._most_counters:
            self._counters.reset()
        item = _PerMinute(limit)
        # A tenant may have the name of an address.
        key = ("tenant" if client.is_tenant else "peer", client.name)
        is_allowed = self._limiter.hit(item, *key)
        stats = self._limiter.get_window_stats(item, *key)
        left = max(1, ceil(stats.reset_time - time.time()))
        remaining = max(0, stats.remaining)
        return Rate(limit, remaining, left, is_exceeded=not is_allowed)
