"""Blocking work, beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread, and return after it has ended even when cancelled.

    A thread can't be cancelled. Whoever cleans up after one that still runs would see
    it make new files afterwards.
    """
    return await run_in(None, work, *args, **kwargs)


async def run_in(
    pool: Executor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do what `run_in_thread` does, in a thread of `pool` if there is one."""
    call = partial(copy_context().run, work, *args, **kwargs)
    running = asyncio.get_running_loop().run_in_executor(pool, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # Marks it as seen: the cancellation is what is told.
        raise
