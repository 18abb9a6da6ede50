"""Whose threads compute: one thread's only, or all of them wait too long."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_apart(work: Callable[[], Result]) -> Result:
    """Return what `work` returns, run in a thread that ends.

    Each thread that has run an operator of torch keeps helpers of its own. Once a
    process has more of them than cores, libgomp lets all sleep between two operators
    instead of spinning, and waking them costs a sixth of a pass. So whatever computes
    besides an engine's own thread does it here.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
