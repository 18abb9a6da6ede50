"""The terminal shows messages for people, and none of Ray's output."""

import os
import subprocess
import sys
from pathlib import Path

from deployments import console

SERVER = """
import os, subprocess, sys
from deployments import console

with console.opened() as terminal:
    print("noise of Ray")
    os.write(2, b"noise of C++\\n")
    terminal.say("stemserve is starting")
    subprocess.run([sys.executable, "-c", REPLICA], check=True)
    subprocess.run([sys.executable, "-c", "print('noise of a child')"], check=True)
    log = terminal.log.read_text()
print("after it, prints are prints")
print(log, file=sys.stderr)
"""
REPLICA = """
import logging
from deployments import console

root = logging.getLogger("serve_app")
root.setLevel("INFO")
root.handlers = console.handlers()
logging.getLogger("serve_app.jobs.log").info("song separated job=%s", "abc")
windows = logging.getLogger("serve_app.stems.stored_windows")
windows.info("of no use to a person")
try:
    raise ValueError("of no use to a person")
except ValueError:
    windows.warning("window not kept", exc_info=True)
windows.warning("two\\nlines %s", "x" * 10_000)
audit = logging.getLogger("stemserve.audit")
audit.propagate = False
audit.handlers = [console.output()]
audit.warning('{"event": "request"}')
"""


def run(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True
    )


def test_only_what_is_said_to_a_person_is_shown() -> None:
    done = run(f"REPLICA = {REPLICA!r}\n{SERVER}")
    first, song, warning, long, audit, last = done.stdout.splitlines()
    assert first == "stemserve is starting"
    assert song.endswith("song separated job=abc")
    assert warning.endswith("WARNING: window not kept")
    assert long.endswith("WARNING: two")
    assert audit == '{"event": "request"}'
    assert last == "after it, prints are prints"
    for noise in ("noise of Ray", "noise of C++", "noise of a child"):
        assert noise in done.stderr


def test_without_a_terminal_replicas_show_nothing(tmp_path: Path) -> None:
    before = os.environ.pop(console.VARIABLE, None)
    try:
        assert console.handlers() == []
        os.environ[console.VARIABLE] = str(tmp_path / "gone")
        assert console.handlers() == []
    finally:
        os.environ.pop(console.VARIABLE, None)
        if before is not None:
            os.environ[console.VARIABLE] = before


def test_a_terminal_that_is_gone_stops_nobody() -> None:
    code = """
import os
from deployments import console

reading, writing = os.pipe()
os.dup2(writing, 1)
os.close(reading)
os.close(writing)
with console.opened() as terminal:
    terminal.say("to nobody")
"""
    run(f"import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_IGN)\n{code}")
