"""A killed process leaves its work to the next one, which fetches only what is missing.

The processes are killed by SIGKILL: nothing in them can tidy up.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.origin import Origin
from tests.unit.archive.downloads import samples
from tests.unit.archive.downloads.conftest import Desk

FETCH = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tests.unit.archive.downloads.conftest import Desk
from tests import origin
found = Desk(Path(sys.argv[1]), origin.client()).fetch(sys.argv[2])
print(json.dumps(asdict(found), default=str))
"""
PATIENCE_SECONDS = 60.0


def started(folder: Path, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", FETCH, str(folder), url]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def kill_once(process: subprocess.Popen[bytes], is_due: Callable[[], bool]) -> None:
    """Kill a process as soon as `is_due`, which must be before it ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_due():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def finished(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return dict(json.loads(output))


def kept_bytes(folder: Path) -> int:
    """Return the bytes of media on the disk."""
    paths = folder.rglob("*")
    return sum(
        path.stat().st_size
        for path in paths
        if path.is_file() and path.suffix == "" and path.name != "key"
    )


def test_a_file_goes_on_where_its_process_was_killed(
    origin: Origin, desk: Desk
) -> None:
    data = samples.mp4(2_000_000)
    url = origin.add("/a.mp4", data, pause_seconds=0.05)
    for share in (0.25, 0.6):
        kill_once(
            started(desk.folder, url),
            lambda share=share: kept_bytes(desk.folder) > share * len(data),
        )
    kept = kept_bytes(desk.folder)
    found = finished(started(desk.folder, url))
    assert Path(found["path"]).read_bytes() == data
    assert found["fetched_bytes"] == len(data) - kept
    assert origin.sent_bytes <= 1.3 * len(data)


def test_a_playlist_goes_on_where_its_process_was_killed(
    origin: Origin, desk: Desk, tmp_path: Path
) -> None:
    url = samples.add_stream(origin, 8)
    undisturbed = Desk(tmp_path / "undisturbed", desk.client).fetch(url)
    content = origin.sent_bytes
    for number in range(8):
        reply = origin.replies[f"/v/{number}.ts"]
        reply.pause_seconds, reply.chunk_bytes = 0.05, 8192
    playlist_bytes = len(origin.replies["/v/index.m3u8"].body)
    for share in (0.3, 0.6):
        kill_once(
            started(desk.folder, url),
            lambda share=share: kept_bytes(desk.folder) > share * content,
        )
    kept = kept_bytes(desk.folder)
    found = finished(started(desk.folder, url))
    assert Path(found["path"]).read_bytes() == undisturbed.path.read_bytes()
    assert found["sha256"] == undisturbed.sha256
    assert found["fetched_bytes"] == content - kept
    assert origin.sent_bytes - content <= 1.3 * content + 3 * playlist_bytes


def test_a_process_killed_while_it_muxes_leaves_no_other_behind(
    origin: Origin, desk: Desk, tmp_path: Path
) -> None:
    url = samples.add_stream(origin, 8)
    undisturbed = Desk(tmp_path / "undisturbed", desk.client).fetch(url)
    sent = origin.sent_bytes
    process = started(desk.folder, url)
    muxers: list[psutil.Process] = []

    def is_muxing() -> bool:
        muxers[:] = psutil.Process(process.pid).children()
        return bool(muxers)

    kill_once(process, is_muxing)
    gone, alive = psutil.wait_procs(muxers, timeout=10)
    assert (len(gone), alive) == (1, [])
    found = finished(started(desk.folder, url))
    assert found["sha256"] == undisturbed.sha256
    assert found["fetched_bytes"] == len(origin.replies["/v/index.m3u8"].body)
    assert origin.sent_bytes - sent == sent + found["fetched_bytes"]


@pytest.mark.parametrize("kills", [6])
def test_many_kills_at_any_moment_change_no_byte(
    origin: Origin, desk: Desk, tmp_path: Path, kills: int
) -> None:
    url = samples.add_stream(origin, 8)
    undisturbed = Desk(tmp_path / "undisturbed", desk.client).fetch(url)
    for number in range(8):
        reply = origin.replies[f"/v/{number}.ts"]
        reply.pause_seconds, reply.chunk_bytes = 0.02, 8192
    for number in range(kills):
        process = started(desk.folder, url)
        time.sleep(0.9 + 0.1 * number)
        process.kill()
        process.communicate()
    assert finished(started(desk.folder, url))["sha256"] == undisturbed.sha256
