"""Keep torch's operators out of threads that live on; they slow down the engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_in_new_thread(work: Callable[[], Result]) -> Result:
    """Run `work` in a new thread, end the thread, and return the result.

    Each thread that has run an operator of torch keeps its own OpenMP threads. If a
    process has more of them than cores, libgomp makes all sleep between two operators
    instead of spinning, and waking them costs a sixth of a pass. So computations
    outside of an engine's own threads run here.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
