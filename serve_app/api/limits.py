"""Limits of concurrent requests, in all and for each client."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from serve_app.errors import Busy, TooManyRequests


class Limit:
    """At most `most` concurrent requests, and at most half of them from one client.

    Each long request takes one of the replica's `max_ongoing_requests`. The limits
    leave the rest free for polls, downloads and probes. For one event loop. `what`
    names the requests in error messages, in the plural.
    """

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._share = max(1, most // 2)
        self._held: Counter[str] = Counter()

    @contextmanager
    def held(
        self, client: str, makes_room: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Count a request of `client` during the block.

        Raises TooManyRequests when the client has reached its limit. When the server
        has reached its own, raises Busy, unless `makes_room` returns True: then it has
        just ended a request.
        """
        if self._held[client] >= self._share:
            raise TooManyRequests(
                f"A client may have at most {self._share} {self._what} at once. Send "
                "this one again when one of them has ended."
            )
        if self._held.total() >= self._most and not makes_room():
            raise Busy(
                f"The server accepts at most {self._most} {self._what} at once. Send "
                "this one again in a few seconds."
            )
        self._held[client] += 1
        try:
            yield
        finally:
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]


class Limits(NamedTuple):
    """The limits of one replica."""

    waiting: Limit
    bodies: Limit


def limits_of(max_ongoing_requests: int) -> Limits:
    """Return limits that leave a quarter of a replica to short requests.

    Half is for waiting requests: server-sent events, `wait` and `follow`. A quarter is
    for uploads: Serve's proxy buffers each of them in memory.
    """
    return Limits(
        Limit("requests that wait for a job", max(1, max_ongoing_requests // 2)),
        Limit("requests with a body", max(1, max_ongoing_requests // 4)),
    )
