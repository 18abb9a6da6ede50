"""The terminal of a server: shows a few lines for people and hides the output of Ray.

Ray, Serve and C++ code write to standard output and error at any time. While a
`Console` is open, both go to a log file, and the terminal shows only the lines that
this process or a replica's `ConsoleHandler` sends to it.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

# The path of the pipe, for replicas, which inherit the variable through Ray.
VARIABLE = "_STEMSERVE_CONSOLE"
# The terminal shows all records of these loggers, and only warnings of others.
SHOWN_LOGGERS = ("serve_app.stems.engines", "serve_app.jobs.log")

# Writes to a pipe of up to this size are atomic (PIPE_BUF on Linux; POSIX: >= 512).
_LINE_BYTES = 4096
_LOG_NAME = "stemserve.log"
# The file descriptor of the standard output. Serve replaces `sys.stdout` in replicas.
_OUTPUT = 1

# The path of HAProxy's socket may have 97 bytes, of which 19 are the name of a server's
# own directory and 68 lie below it. Ray's sockets, of up to 107 bytes, are no longer.
_MAX_PARENT_BYTES = 10


class Console:
    """The terminal, apart from this process's standard output and error."""

    def __init__(self, terminal: int, directory: Path) -> None:
        self.directory = directory
        self.log = directory / _LOG_NAME
        self._terminal = terminal

    def say(self, line: str) -> None:
        """Show a line. A closed terminal is ignored."""
        self._write(f"{line}\n".encode())

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._terminal, data) :]
        except OSError:
            return

    def _relay(self, pipe: int) -> None:
        """Show the lines of replicas until the console is closed."""
        # This process holds the pipe open for both directions, so reads never see its
        # end: a zero byte, written when the console is closed, ends the loop.
        while (data := os.read(pipe, _LINE_BYTES)) != b"\0":
            self._write(data)


@contextmanager
def opened() -> Iterator[Console]:
    """Yield the terminal; in the block, standard output and error go to a log file.

    The log is in a new temporary directory that is kept afterwards and that other users
    of the machine can't read.
    """
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _MAX_PARENT_BYTES:
        parent = "/tmp"  # noqa: S108  mkdtemp makes a private directory there
    directory = Path(tempfile.mkdtemp(prefix="stemserve-", dir=parent))
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    console = Console(terminal, directory)
    pipe_path = directory / "console"
    os.mkfifo(pipe_path, 0o600)
    # Open for both directions, so that reads do not end when the last replica exits.
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


class LineHandler(logging.Handler):
    """Writes the first line of each log record to a file descriptor.

    Never blocks: records that do not fit into the pipe are dropped; the log files have
    them.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write the first line of a record. Tracebacks are in the log files only."""
        line = self.format(record).partition("\n")[0]
        try:
            os.write(self._descriptor, line.encode()[: _LINE_BYTES - 1] + b"\n")
        except OSError:
            return


class ConsoleHandler(LineHandler):
    """Shows a replica's most important log records on the terminal of the server."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        self.addFilter(_is_shown)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a person reads it."""
        return super().format(_plain(record))


def handlers() -> list[logging.Handler]:
    """Return the handler for the server's terminal, or none without a terminal."""
    pipe = _opened_pipe()
    return [] if pipe is None else [ConsoleHandler(pipe)]


def output() -> logging.Handler:
    """Return the handler for the server's own output, which is the terminal's.

    On a cluster it is the output of this process.
    """
    pipe = _opened_pipe()
    return LineHandler(_OUTPUT if pipe is None else pipe)


def _opened_pipe() -> int | None:
    try:
        return os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_NONBLOCK)
    except (KeyError, OSError):
        # On a cluster, or after the console was closed.
        return None


def _is_shown(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name in SHOWN_LOGGERS


def _plain(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record without traceback, with its level if it is a warning."""
    message = record.getMessage()
    if record.levelno >= logging.WARNING:
        message = f"{record.levelname}: {message}"
    plain = logging.makeLogRecord({**record.__dict__, "msg": message, "args": None})
    plain.exc_info = plain.exc_text = plain.stack_info = None
    return plain
