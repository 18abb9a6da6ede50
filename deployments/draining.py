"""When Serve begins to stop this replica."""

from collections.abc import Callable
from typing import Any

from ray.serve._private.replica import Replica

_shut_down = Replica.perform_graceful_shutdown


def on_drain(call: Callable[[], None]) -> None:
    """Have `call` called when Serve tells this replica to stop, in any thread.

    Serve calls it, and `__del__` of the deployment after it, only when all requests
    are done; it has no hook for the moment before.
    """

    async def announced(replica: Any) -> None:
        call()
        await _shut_down(replica)

    Replica.perform_graceful_shutdown = announced
