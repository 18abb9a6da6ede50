"""Segments made into one MP4 by a process that may crash without harm."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from select import POLLIN, poll
from typing import Any

from serve_app.archive.downloads.remux import Joined, Plan
from serve_app.archive.errors import BrokenMedia
from serve_app.errors import Cancelled

_MODULE = "serve_app.archive.downloads.remux"
# Only these variables are passed on: others may hold the operator's secrets.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_POLL_SECONDS = 0.1
# The process says nothing while it moves the index of the MP4 to its front.
_SILENCE_SECONDS = 1800.0
_READ_BYTES = 65_536


def join(
    plan: Plan,
    lock: int,
    report: Callable[[float], None],
    is_wanted: Callable[[], bool],
) -> Joined:
    """Write the MP4 of `plan`; `report` gets the fraction that is done.

    The process keeps the descriptor `lock` open, so that nobody else begins before it
    has ended. Raises BrokenMedia with the reason, Cancelled, and OSError of the disk.
    """
    pieces = [run.pieces for track in plan.tracks for part in track for run in part]
    total_bytes = sum(piece.size_bytes for each in pieces for piece in each) or 1
    with _process(plan, lock) as process:
        for message in _messages(process, is_wanted):
            if "read_bytes" in message:
                report(min(message["read_bytes"] / total_bytes, 1.0))
            elif "unusable" in message:
                raise BrokenMedia(
                    f"The media can't be stored as one MP4: {message['unusable']}."
                )
            elif "errno" in message:
                raise OSError(message["errno"], message["strerror"])
            elif "seconds" in message:
                return Joined(tuple(message["seconds"]), tuple(message["kinds"]))
    raise BrokenMedia(
        "The media can't be stored as one MP4: reading its segments crashed "
        f"(exit code {process.returncode})."
    )


@contextmanager
def _process(plan: Plan, lock: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", _MODULE],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[lock],
        # Ctrl-C must reach only the parent process.
        start_new_session=True,
    )
    with process:
        try:
            # A process that has crashed already takes no plan.
            with suppress(BrokenPipeError):
                _send(process, plan)
            yield process
        finally:
            process.kill()


def _send(process: subprocess.Popen[bytes], plan: Plan) -> None:
    if process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(json.dumps(asdict(plan)).encode())


def _messages(
    process: subprocess.Popen[bytes], is_wanted: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Yield the lines that the process writes, until it ends."""
    if process.stdout is None:
        return
    waiting = poll()
    waiting.register(process.stdout, POLLIN)
    received, heard_at = b"", time.monotonic()
    while time.monotonic() - heard_at < _SILENCE_SECONDS:
        if not is_wanted():
            raise Cancelled("The download was cancelled.")
        if not waiting.poll(_POLL_SECONDS * 1000):
            continue
        data = os.read(process.stdout.fileno(), _READ_BYTES)
        if not data:
            return
        heard_at = time.monotonic()
        *lines, received = (received + data).split(b"\n")
        yield from map(json.loads, lines)
