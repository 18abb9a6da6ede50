"""When Serve stops this replica."""

import asyncio
from collections.abc import Callable
from typing import Any

from ray.serve._private.replica import Replica


def on_drain(call: Callable[[], None]) -> None:
    """Have `call` called when Serve tells this replica to stop, in any thread.

    Serve calls it, and `__del__` of the deployment after it, only when all requests
    are done; it has no hook for the moment before.
    """
    shut_down = Replica.perform_graceful_shutdown

    async def announced(replica: Any) -> None:
        call()
        await shut_down(replica)

    Replica.perform_graceful_shutdown = announced


def when_stopped(call: Callable[[], None]) -> None:
    """Have `call` called, in a thread, when this replica is done with everything.

    Serve kills the process afterwards, without the calls of `atexit`.
    """
    shut_down = Replica.perform_graceful_shutdown

    async def told(replica: Any) -> None:
        await shut_down(replica)
        await asyncio.to_thread(call)

    Replica.perform_graceful_shutdown = told
