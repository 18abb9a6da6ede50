"""What a person sees of the server: a few lines on the terminal that started it.

Ray, Serve and C++ write to a process's standard output and error whenever they like.
While a `Console` is open both lead to a log file, and only what is said through it, by
this process or by a replica's `ConsoleHandler`, reaches the terminal.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

# Where replicas find the pipe; inherited through Ray.
VARIABLE = "_STEMSERVE_CONSOLE"
# Lines of these tell a person what happens; of all other loggers, warnings do.
TOLD = ("serve_app.stems.engines", "serve_app.jobs.log")

# Writes of up to so many bytes do not mix in a pipe (POSIX: at least 512).
_LINE_BYTES = 4096
_LOG_NAME = "stemserve.log"

# In the directory of a start, whose own name has 19 characters, HAProxy's socket lies
# 68 further below. Its path may have 97 bytes; Ray's, of up to 107, are no longer.
_LONGEST_PARENT = 10


class Console:
    """The terminal, kept apart from this process's standard output and error."""

    def __init__(self, terminal: int, directory: Path) -> None:
        self.directory = directory
        self.log = directory / _LOG_NAME
        self._terminal = terminal

    def say(self, line: str) -> None:
        """Show a line; a terminal that is gone does not stop the server."""
        self._write(f"{line}\n".encode())

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._terminal, data) :]
        except OSError:
            return

    def _relay(self, pipe: int) -> None:
        """Show what replicas say, until the pipe is closed."""
        # A last write of ours ends it, since a pipe that is open for both never does.
        while (data := os.read(pipe, _LINE_BYTES)) != b"\0":
            self._write(data)


@contextmanager
def opened() -> Iterator[Console]:
    """Open the terminal for a server's lifetime; what else is written goes to a log.

    The log lies in a temporary directory of its own, which stays, and which other
    users of the machine can't look into.
    """
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST_PARENT:
        parent = "/tmp"  # noqa: S108  mkdtemp makes a private directory there
    directory = Path(tempfile.mkdtemp(prefix="stemserve-", dir=parent))
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    console = Console(terminal, directory)
    pipe_path = directory / "console"
    os.mkfifo(pipe_path, 0o600)
    # Open for both, so that it has no end when the last replica closes it.
    pipe = os.open(pipe_path, os.O_RDWR)
    os.environ[VARIABLE] = str(pipe_path)
    relay = Thread(target=console._relay, args=(pipe,), daemon=True)
    relay.start()
    with console.log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield console
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(terminal, 1)
        os.dup2(errors, 2)
        os.write(pipe, b"\0")
        relay.join()
        for descriptor in (terminal, errors, pipe):
            os.close(descriptor)
        pipe_path.unlink()


class ConsoleHandler(logging.Handler):
    """Shows a replica's records on the terminal of the server, if it has one.

    Never waits: what a stopped terminal has no room for is in the log files only.
    """

    def __init__(self, pipe: str) -> None:
        super().__init__()
        self._pipe = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        self.addFilter(_is_told)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's first line; its traceback is in the log files."""
        line = self.format(_plain(record)).partition("\n")[0]
        try:
            os.write(self._pipe, line.encode()[: _LINE_BYTES - 1] + b"\n")
        except OSError:
            return


def handlers() -> list[logging.Handler]:
    """Return what shows a replica's records where the server has a terminal."""
    try:
        return [ConsoleHandler(os.environ[VARIABLE])]
    except (KeyError, OSError):
        # On a cluster, or on a terminal that is gone.
        return []


def _is_told(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name in TOLD


def _plain(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record without its traceback, its level said if it is a warning."""
    message = record.getMessage()
    if record.levelno >= logging.WARNING:
        message = f"{record.levelname}: {message}"
    told = logging.makeLogRecord({**record.__dict__, "msg": message, "args": None})
    told.exc_info = told.exc_text = told.stack_info = None
    return told
