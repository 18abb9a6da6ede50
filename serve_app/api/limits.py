"""How many requests of a kind may be under way, and how many of one client."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from serve_app.errors import Busy, TooManyRequests


class Limit:
    """At most `most` requests under way at once, and half of them from one client.

    Long requests each hold a place of the replica's `max_ongoing_requests`: what is
    left beside the limits is always free for polls, downloads and probes. For one event
    loop. `what` names the requests in the plural, in the words of a refusal.
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
        """Count a request of `client` for the length of the block.

        Raises TooManyRequests when the client has its share, Busy when all are taken,
        unless `makes_room` then says that it has just ended one of them.
        """
        if self._held[client] >= self._share:
            raise TooManyRequests(
                f"This client has {self._share} {self._what} under way, the most that "
                "one client may have. Send the request again when one of them is over."
            )
        if self._held.total() >= self._most and not makes_room():
            raise Busy(
                f"The server has {self._most} {self._what} under way, the most that it "
                "takes. Send the request again in a few seconds."
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

    Half is for those who wait: server-sent events, `wait` and `follow`. A quarter is
    for songs that arrive: what Serve's proxy holds of each is memory.
    """
    return Limits(
        Limit("requests that wait for a job", max(1, max_ongoing_requests // 2)),
        Limit("requests with a body", max(1, max_ongoing_requests // 4)),
    )
