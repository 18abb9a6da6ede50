"""A process that forks a child for each song; the child measures it under limits.

Run as `python -m serve_app.audio.forkserver DESCRIPTOR`. It has one thread and no
secrets, opens no port, and exits when the other end of its socket closes.
`serve_app.audio.isolated` starts it.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import traceback
import wave
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.errors import AudioTooLong, UnreadableAudio

# The process exits after so long without a request, to free its memory.
IDLE_SECONDS = 300.0
MOST_REQUEST_BYTES = 16_384
# Answers to requests come first, on a machine that is busy.
NICENESS = 5
# After so much CPU time a song counts as long, and its process is reniced by as much: a
# short one gets three times as much of a core that both want.
SHORT_CPU_SECONDS = 1.0
LONG_NICENESS = 5
# Sent before the response to each request: the forkserver has received it.
ALIVE = b"+"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# A child's only descriptor besides stdin, stdout and stderr.
_CONNECTION = 3


class _Child:
    """A process that measures a song, and the connection to its client."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        self.process = os.pidfd_open(pid)

    def kill(self) -> None:
        """End the process, if it has not ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, signal.SIGKILL)

    def reap(self) -> None:
        """Send the process's exit code to the client."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.process)
        ending = {"exit_code": os.waitstatus_to_exitcode(status)}
        with self.connection, suppress(OSError):
            _send(self.connection, ending)


def serve(control: socket.socket) -> None:
    """Serve requests until `control` is closed or IDLE_SECONDS pass without one."""
    children: set[_Child] = set()
    with DefaultSelector() as selector:
        selector.register(control, EVENT_READ)
        while events := selector.select(None if children else IDLE_SECONDS):
            for key, _ in events:
                child: _Child | None = key.data
                if child is None:
                    request, connection = _received(control)
                    if connection is None:
                        for each in children:
                            each.kill()
                        return
                    with suppress(OSError):
                        connection.sendall(ALIVE)
                    child = _forked(request, connection)
                    children.add(child)
                    selector.register(child.process, EVENT_READ, child)
                    # Clients send nothing here: readable means closed.
                    selector.register(connection, EVENT_READ, child)
                elif child in children and key.fd == child.process:
                    selector.unregister(child.process)
                    if child.connection in selector.get_map():
                        selector.unregister(child.connection)
                    child.reap()
                    children.remove(child)
                elif child in children:
                    selector.unregister(child.connection)
                    child.kill()


def _received(control: socket.socket) -> tuple[bytes, socket.socket | None]:
    request, descriptors, _, _ = socket.recv_fds(control, MOST_REQUEST_BYTES, 1)
    if not descriptors:
        return b"", None
    return request, socket.socket(fileno=descriptors[0])


def _forked(request: bytes, connection: socket.socket) -> _Child:
    if pid := os.fork():
        return _Child(pid, connection)
    try:
        # With another child's connection, a hostile song could forge its response.
        os.dup2(connection.fileno(), _CONNECTION)
        os.closerange(_CONNECTION + 1, os.sysconf("SC_OPEN_MAX"))
        answer = _answer(json.loads(request))
        _send(socket.socket(fileno=_CONNECTION), answer)
    finally:
        os._exit(0)


def _answer(request: dict[str, dict[str, float] | str]) -> dict[str, object]:
    """Return the song's facts, or the error."""
    try:
        _restrict(ProcessLimits(**request["process_limits"]))  # type: ignore[arg-type]
        module, _, name = str(request["function"]).partition(":")
        function = getattr(import_module(module), name)
        limits = AudioLimits(**request["audio_limits"])  # type: ignore[arg-type]
        return {"facts": asdict(function(Path(str(request["path"])), limits))}
    except (UnreadableAudio, AudioTooLong) as err:
        return {"error_code": err.code, "detail": err.detail}
    except MemoryError:
        return {"is_out_of_memory": True}
    except BaseException:
        return {"traceback": traceback.format_exc()}


def _restrict(limits: ProcessLimits) -> None:
    """Bound this process; nothing that it starts later can lift that."""
    # Its parent kills it when it is not wanted; this is for when the parent is killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The first process that the kernel ends when memory runs out.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(NICENESS)
    signal.signal(signal.SIGPROF, lambda *_: os.nice(LONG_NICENESS))
    signal.setitimer(signal.ITIMER_PROF, SHORT_CPU_SECONDS)
    for what, soft, hard in (
        # By SIGXCPU first: SIGKILL would not tell why.
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        # Not RLIMIT_AS, which also counts what is only mapped, such as libraries.
        (resource.RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(what, (soft, hard))


def _send(connection: socket.socket, message: Mapping[str, object]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _warm_up() -> None:
    """Load the children's modules once, before any fork, by measuring silence."""
    from serve_app.audio.measure import measure

    with tempfile.NamedTemporaryFile() as file:
        with wave.open(file, "wb") as song:
            song.setparams((2, 2, 44_100, 0, "NONE", ""))
            song.writeframes(bytes(4_410 * 4))
        file.flush()
        measure(Path(file.name), AudioLimits(max_duration_seconds=1))


if __name__ == "__main__":
    # Only makes the first song faster: a failure here does no harm.
    with suppress(Exception):
        _warm_up()
    # The collector leaves frozen objects alone, so their pages stay shared.
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
