"""The process that streams the archive's media, beside Serve on one machine."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deployments.config import CheckedApplication

logger = logging.getLogger(__name__)

_SYSTEM = "archive"
_PAUSE_SECONDS = 1.0
# Streams in flight get this long to end.
_STOP_SECONDS = 10.0


@contextmanager
def running(
    applications: Sequence[CheckedApplication], host: str, config: str
) -> Iterator[int | None]:
    """Run the process if an application has the archive; yield its port, or None.

    It is started again whenever it ends before the block does.
    """
    ports = [
        each.args.resolved_settings().archive_port
        for each in applications
        if _SYSTEM in each.args.systems
    ]
    if not ports:
        yield None
        return
    command = [sys.executable, "-m", "serve_app.cli", "stream"]
    process = _Supervised([*command, "--host", host, "--config", config])
    process.start()
    try:
        yield ports[0]
    finally:
        process.stop()


class _Supervised:
    """A process that is started again when it ends by itself."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._begin()
        self._thread.start()

    def stop(self) -> None:
        """End the process, and wait for its end."""
        self._ended.set()
        with self._lock:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _begin(self) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._process = subprocess.Popen(self._command)  # noqa: S603  ours

    def _watch(self) -> None:
        while not self._ended.is_set():
            process = self._process
            status = process.wait() if process is not None else 0
            if not self._ended.is_set():
                logger.error("streaming process ended status=%s, started again", status)
            self._ended.wait(_PAUSE_SECONDS)
            self._begin()
