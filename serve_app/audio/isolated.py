"""Songs measured in processes of their own, which may crash or be killed."""

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

# So long a forkserver may take to start, or to take a song, also on a machine with many
# times more work than cores.
ALIVE_SECONDS = 20.0
# How soon a process is ended that nobody waits for any more.
_POLL_SECONDS = 0.1
_MOST_ANSWER_BYTES = 65_536
# A server that was idle may end just when it is asked.
_TRIES = 3
# The operator's secrets are in the environment too: a decoder needs none of them.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

_ERRORS: Mapping[str, type[AppError]] = {
    error.code: error for error in (UnreadableAudio, AudioTooLong)
}
_LESS = "Convert it to a 44.1 kHz stereo FLAC or mp3, or cut it into shorter parts."
CRASHED = (
    "The decoder crashed on this file, so it can't be separated: it is damaged, or no "
    "program has written it like that. Export the song again."
)


class _ServerGone(Exception):
    """The forkserver has ended before it answered."""


class IsolatedMeasure:
    """Measures songs as `serve_app.audio.measure` does, each in a process of its own.

    The processes are forked from one that is started with the first song and ends after
    five minutes without any. All of them end with this process, however it ends.
    Methods block, and are safe in any thread.
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
        """Decode a song whole and return what it is, for as long as it is wanted.

        Raises what `measure` raises, UnreadableAudio also where the decoder crashes,
        AudioTooLong where it needs more than it may, BadRequest once the song is not
        wanted, and Unavailable when the machine is too busy.
        """
        request = json.dumps({**self._request, "path": str(path)}).encode()
        for _ in range(_TRIES):
            try:
                return self._facts(self._answer(request, is_wanted))
            except _ServerGone:
                continue
        raise Unavailable("The server can't decode songs now. Try again later.")

    def close(self) -> None:
        """End all of the processes."""
        with self._lock:
            self._forget()

    def _answer(self, request: bytes, is_wanted: Callable[[], bool]) -> dict[str, Any]:
        """Return what the process has answered, or how it ended without an answer."""
        ours, theirs = socket.socketpair()
        # Once it is closed, the forkserver kills the process.
        with ours:
            with theirs:
                self._send(request, theirs)
            self._check_alive(ours)
            deadline = time.monotonic() + self._process_limits.wall_seconds
            received = b""
            # A line is what the process found, or how it ended if it found nothing.
            while not received.endswith(b"\n") and len(received) < _MOST_ANSWER_BYTES:
                if _is_readable(ours, _POLL_SECONDS):
                    part = ours.recv(_MOST_ANSWER_BYTES)
                    received += part
                    if not part:
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
            raise _ServerGone
        try:
            # How it ended may have come already, too.
            return dict(json.loads(received.splitlines()[0]))
        except ValueError:
            return {}

    def _check_alive(self, connection: socket.socket) -> None:
        """Raise _ServerGone, and kill a forkserver that does not take the song soon."""
        if not _is_readable(connection, self._alive_seconds):
            logger.warning("the forkserver hangs, and is killed")
            with self._lock:
                if self._server is not None:
                    self._server.kill()
                self._forget()
            raise _ServerGone
        if connection.recv(len(ALIVE)) != ALIVE:
            raise _ServerGone

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
                f"Decoding this song takes more than the {seconds} seconds of "
                f"computing time that a song may take. {_LESS}"
            )
        if "is_out_of_memory" in answer or exit_code == -signal.SIGKILL:
            raise AudioTooLong(
                f"Decoding this song takes more memory than a song may take. {_LESS}"
            )
        raise UnreadableAudio(CRASHED)

    def _send(self, request: bytes, connection: socket.socket) -> None:
        with self._lock:
            if self._control is None or _is_closed(self._control):
                self._forget()
                self._start()
            control = self._control
            if control is None:
                raise _ServerGone
            try:
                socket.send_fds(control, [request], [connection.fileno()])
            except OSError as err:
                raise _ServerGone from err

    def _start(self) -> None:
        # Each message arrives whole, and the closing of either end is seen.
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        environment = {
            name: os.environ[name] for name in _VARIABLES if name in os.environ
        }
        # Where this process found the package, and threads that a fork would lose.
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
                # Ctrl-C is for the process that started it.
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
    # Nothing is ever sent to us: readable means that the other end was closed.
    return _is_readable(control, 0.0)


def _is_readable(connection: socket.socket, seconds: float) -> bool:
    """Wait so long for data or the end; `select` knows no descriptor over 1023."""
    waiting = poll()
    waiting.register(connection, POLLIN)
    return bool(waiting.poll(seconds * 1000))
