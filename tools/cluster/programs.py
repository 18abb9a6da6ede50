"""Programs that run beside the nodes."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1


@contextmanager
def running(
    command: Sequence[str], log: Path, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a program until the context exits, in a session that Ctrl-C doesn't reach.

    Raises RuntimeError with its log if it is not ready in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True
        )
    try:
        end = time.monotonic() + _WAIT_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()}")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        process.terminate()
        process.wait()
