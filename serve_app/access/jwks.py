"""The keys of an issuer of tokens: fetched from its JWKS, cached, and refreshed."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Never

from serve_app.access import issuer_keys
from serve_app.access.issuer_keys import KeySet
from serve_app.errors import Unavailable
from serve_app.outbound import document
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 256 * 1024
# How long keys are cached: as `Cache-Control` says, within bounds.
FRESH_SECONDS = 300.0
_SHORTEST_SECONDS, _LONGEST_SECONDS = 60.0, 3600.0
# The time from a failed fetch to the next.
RETRY_SECONDS = 10.0
# Anyone can send unknown key ids, and each could cause a fetch.
UNKNOWN_KEY_SECONDS = 60.0
# A name that is looked up may take longer than the timeout.
_WAIT_SECONDS = TIMEOUT_SECONDS + 1

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.IGNORECASE)
_NOT_CACHED = re.compile(r"(?:^|[\s,])no-(?:cache|store)\b", re.IGNORECASE)


@dataclass(frozen=True)
class FetchedKeys:
    """The keys of an issuer, and how long they may be cached."""

    keys: KeySet
    fresh_seconds: float


@dataclass(frozen=True)
class JwksSource:
    """A JWKS at a URL that `rules` allow."""

    url: str
    rules: UrlRules
    network: CheckedNetwork
    timeout_seconds: float = TIMEOUT_SECONDS

    def fetch(self) -> FetchedKeys:
        """Return the keys; blocks until the timeout at most, and for the DNS.

        Raises RefusedUrl, UnreachableUrl, and ValueError for another document.
        """
        # Fetches are too far apart to keep a connection.
        with closing(OutboundClient(self.rules, self.network)) as client:
            found = document.read(client, self.url, MAX_BYTES, self.timeout_seconds)
        keys = issuer_keys.parsed(found.body)
        return FetchedKeys(keys, _fresh_seconds(found.headers.get("cache-control", "")))


class Jwks:
    """The keys of an issuer, fetched one request at a time. For one event loop.

    Keys stay valid while fetches fail: those whose keys are known are not affected.
    """

    def __init__(
        self,
        fetch: Callable[[], FetchedKeys],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._sleep = sleep
        self._keys: KeySet | None = None
        self._failure = ""
        self._fresh_seconds = RETRY_SECONDS
        self._fetched_at = self._searched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def keys(self) -> KeySet:
        """Return the newest keys; raise Unavailable if none were ever fetched."""
        if self._keys is None:
            await self._refresh(RETRY_SECONDS)
        return self._known()

    async def keys_after_search(self) -> KeySet:
        """Return the keys for a token whose key is unknown: fetch once a minute.

        Raises Unavailable while fetches fail, since the key may be a new one.
        """
        now = self._monotonic()
        is_due = now - self._searched_at >= UNKNOWN_KEY_SECONDS
        if is_due:
            self._searched_at = now
        await self._refresh(0.0 if is_due else float("inf"))
        if self._failure or self._fetching is not None:
            raise _unavailable()
        return self._known()

    async def keep_fresh(self) -> Never:
        """Fetch the keys now, and again whenever they are due."""
        while True:
            await self._refresh(0.0)
            await self._sleep(RETRY_SECONDS if self._failure else self._fresh_seconds)

    async def _refresh(self, least_age_seconds: float) -> None:
        """Wait for the running fetch, or begin one if the last began long enough ago.

        A client that leaves does not end the fetch of the others.
        """
        age_seconds = self._monotonic() - self._fetched_at
        if self._fetching is None and age_seconds >= least_age_seconds:
            self._fetched_at = self._monotonic()
            self._fetching = asyncio.create_task(self._load())
        if self._fetching is not None:
            await asyncio.wait({self._fetching}, timeout=_WAIT_SECONDS)

    async def _load(self) -> None:
        try:
            fetched = await asyncio.to_thread(self._fetch)
        except Exception as error:
            # Any failure leaves the keys as they are.
            self._fail(str(error) or type(error).__name__)
        else:
            self._accept(fetched)
        finally:
            self._fetching = None

    def _accept(self, fetched: FetchedKeys) -> None:
        self._fresh_seconds = fetched.fresh_seconds
        if fetched.keys != self._keys or self._failure:
            logger.info(
                "jwks fetched keys=%d left_out=%d",
                len(fetched.keys.keys),
                fetched.keys.left_out,
            )
        self._failure = ""
        # The same keys stay the same object, which caches compare.
        if fetched.keys != self._keys:
            self._keys = fetched.keys

    def _fail(self, reason: str) -> None:
        if not self._failure:
            known = 0 if self._keys is None else len(self._keys.keys)
            logger.warning("jwks fetch failed known_keys=%d error=%s", known, reason)
        self._failure = reason

    def _known(self) -> KeySet:
        if self._keys is None:
            raise _unavailable()
        return self._keys


def _unavailable() -> Unavailable:
    return Unavailable(
        "The token can't be verified now, because the keys of its issuer can't be "
        "fetched. Try again later; the operator finds the reason in the server's log."
    )


def _fresh_seconds(cache_control: str) -> float:
    """Return how long a response may be cached, within bounds."""
    if _NOT_CACHED.search(cache_control):
        return _SHORTEST_SECONDS
    found = _MAX_AGE.search(cache_control)
    wanted = FRESH_SECONDS if found is None else float(found[1])
    return min(max(wanted, _SHORTEST_SECONDS), _LONGEST_SECONDS)
