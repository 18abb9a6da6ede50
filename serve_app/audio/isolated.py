"""Measure songs in separate processes, which may crash or be killed."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from select import POLLIN, poll
from threading import Lock
from typing import Any

from serve_app.audio.facts import AudioFacts
from serve_app.audio.forkserver import ALIVE
from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.errors import (
    AppError,
    AudioTooLong,
    BadRequest,
    Unavailable,
    UnreadableAudio,
)

logger = logging.getLogger(__name__)

MEASURE = "serve_app.audio.measure:measure"

# Timeout for a forkserver to start or to accept a song, long enough for a machine that
# is overloaded many times over.
ALIVE_SECONDS = 20.0
# Interval at which `is_wanted` is checked.
_POLL_SECONDS = 0.1
_MOST_ANSWER_BYTES = 65_536
# An idle forkserver may exit just as a request arrives.
_TRIES = 3
# Only these variables are passed on: others may hold the operator's secrets.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

_ERRORS: Mapping[str, type[AppError]] = {
    error.code: error for error in (UnreadableAudio, AudioTooLong)
}
_ADVICE = "Convert it to a 44.1 kHz stereo FLAC or mp3, or cut it into shorter pieces."
CRASHED = (
    "The decoder crashed on this file: it is damaged or malformed. Export the song "
    "again."
)


class _ForkserverGone(Exception):
    """The forkserver exited before it responded."""


class IsolatedMeasure:
    """Measures songs as `serve_app.audio.measure` does, each in a process of its own.

    The processes are forked from a forkserver, which starts with the first song and
    exits after five minutes without one. All of them exit when this process does, even
    if it is killed. Methods block, and are thread-safe.
    """

    def __init__(
        self,
        audio_limits: AudioLimits,
        process_limits: ProcessLimits,
        function: str = MEASURE,
        alive_seconds: float = ALIVE_SECONDS,
    ) -> None:
        self._alive_seconds = alive_seconds
        self._process_limits = process_limits
        self._request = {
            "function": function,
            "audio_limits": asdict(audio_limits),
            "process_limits": asdict(process_limits),
        }
        self._lock = Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __call__(
        self, path: Path, is_wanted: Callable[[], bool] = lambda: True
    ) -> AudioFacts:
        """Decode the whole song and return its facts.

        Raises the errors of `measure`; also UnreadableAudio if the decoder crashes,
        AudioTooLong if it exceeds its CPU time or memory, BadRequest as soon as
        `is_wanted` returns False, and Unavailable if the machine is too busy.
        """
        request = json.dumps({**self._request, "path": str(path)}).encode()
        for _ in range(_TRIES):
            try:
                return self._facts(self._answer(request, is_wanted))
            except _ForkserverGone:
                continue
        raise Unavailable("The server can't decode songs now. Try again later.")

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._forget()

    def _answer(self, request: bytes, is_wanted: Callable[[], bool]) -> dict[str, Any]:
        """Return the process's response, or its exit code if it sent none."""
        ours, theirs = socket.socketpair()
        # The forkserver kills the process when this end is closed.
        with ours:
            with theirs:
                self._send(request, theirs)
            self._check_alive(ours)
            deadline = time.monotonic() + self._process_limits.wall_seconds
            received = b""
            # One line: the process's response, or its exit code if it sent none.
            while not received.endswith(b"\n") and len(received) < _MOST_ANSWER_BYTES:
                if _is_readable(ours, _POLL_SECONDS):
                    data = ours.recv(_MOST_ANSWER_BYTES)
                    received += data
                    if not data:
                        break
                elif not is_wanted():
                    raise BadRequest(
                        "The connection was closed before the song was checked. Send "
                        "it again."
                    )
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "The server is too busy to decode this song. Try again later."
                    )
        if not received:
            raise _ForkserverGone
        try:
            # The line with the exit code may have arrived too.
            return dict(json.loads(received.splitlines()[0]))
        except ValueError:
            return {}

    def _check_alive(self, connection: socket.socket) -> None:
        """Raise _ForkserverGone if the forkserver is gone, or hangs and is killed."""
        if not _is_readable(connection, self._alive_seconds):
            logger.warning("forkserver killed reason=hangs")
            with self._lock:
                if self._server is not None:
                    self._server.kill()
                self._forget()
            raise _ForkserverGone
        if connection.recv(len(ALIVE)) != ALIVE:
            raise _ForkserverGone

    def _facts(self, answer: dict[str, Any]) -> AudioFacts:
        if "facts" in answer:
            return AudioFacts(**answer["facts"])
        if error := _ERRORS.get(answer.get("error_code", "")):
            raise error(answer["detail"])
        if "traceback" in answer:
            raise RuntimeError(f"measuring a song failed:\n{answer['traceback']}")
        exit_code = answer.get("exit_code")
        logger.warning("decoder ended exit_code=%s", exit_code)
        if exit_code == -signal.SIGXCPU:
            seconds = self._process_limits.cpu_seconds
            raise AudioTooLong(
                f"Decoding this song takes more than {seconds} seconds of CPU time, "
                f"the limit for a song. {_ADVICE}"
            )
        if "is_out_of_memory" in answer or exit_code == -signal.SIGKILL:
            raise AudioTooLong(
                "Decoding this song takes more memory than the limit for a song. "
                f"{_ADVICE}"
            )
        raise UnreadableAudio(CRASHED)

    def _send(self, request: bytes, connection: socket.socket) -> None:
        with self._lock:
            if self._control is None or _is_closed(self._control):
                self._forget()
                self._start()
            control = self._control
            if control is None:
                raise _ForkserverGone
            try:
                socket.send_fds(control, [request], [connection.fileno()])
            except OSError as err:
                raise _ForkserverGone from err

    def _start(self) -> None:
        # SEQPACKET keeps message boundaries and reports when either end closes.
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        environment = {
            name: os.environ[name] for name in _VARIABLES if name in os.environ
        }
        # The package's place; and no threads, which a fork would lose.
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
        command = [sys.executable, "-P", "-m", "serve_app.audio.forkserver"]
        with theirs:
            self._server = subprocess.Popen(  # noqa: S603
                [*command, str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # Ctrl-C must reach only the parent process.
                start_new_session=True,
            )
        self._control = ours

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            self._server.wait()
        self._control = self._server = None


def _is_closed(control: socket.socket) -> bool:
    # The forkserver sends nothing here: readable means that it closed the socket.
    return _is_readable(control, 0.0)


def _is_readable(connection: socket.socket, seconds: float) -> bool:
    """Wait for data or the end; `select` can't handle descriptors over 1023."""
    waiting = poll()
    waiting.register(connection, POLLIN)
    return bool(waiting.poll(seconds * 1000))
