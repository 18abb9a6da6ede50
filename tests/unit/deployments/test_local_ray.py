"""Ray's start is retried on a busy machine; a failure is explained in one line."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import psutil
import pytest

from deployments import local_ray
from deployments.local_ray import RayDidNotStart

TIMED_OUT = (
    "The current node timed out during startup. This could happen because some of the "
    "raylet failed to startup or the GCS has become overloaded."
)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Make Ray's start fail twice, each time leaving a process; return these."""
    left: list[subprocess.Popen[bytes]] = []

    def init(**_: object) -> None:
        if len(left) < 2:
            code = "import time; time.sleep(60)"
            left.append(subprocess.Popen([sys.executable, "-c", code]))
            raise Exception(TIMED_OUT)

    monkeypatch.setattr(local_ray.ray, "init", init)
    monkeypatch.setattr(local_ray, "_RETRY_SECONDS", 0.0)
    return left


def test_a_busy_machine_gets_another_try_with_nothing_left_of_the_first(
    starts: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    local_ray._start(tmp_path)
    assert len(starts) == 2
    assert all(process.poll() is not None for process in starts)
    assert not psutil.Process().children(recursive=True)


def test_in_the_end_it_is_explained_in_one_line(
    starts: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(local_ray, "_MAX_ATTEMPTS", 2)
    with pytest.raises(RayDidNotStart) as caught:
        local_ray._start(tmp_path)
    assert "in 2 attempts" in caught.value.detail
    assert "timed out during startup" in caught.value.detail
    assert "too busy" in caught.value.detail
    assert "\n" not in caught.value.detail


def test_another_try_waits_until_the_port_of_metrics_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The agent of a start that failed lives on for a while."""
    monkeypatch.setattr(local_ray, "_RETRY_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        Timer(0.2, taken.close).start()
        began_seconds = time.monotonic()
        local_ray._wait_for_port(port)
    assert 0.1 < time.monotonic() - began_seconds < 30


@pytest.mark.parametrize("port", [None, 9090])
def test_ray_exports_metrics_on_the_port_that_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int | None
) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(local_ray.ray, "init", lambda **options: given.update(options))
    local_ray._start(tmp_path, port)
    assert given["_metrics_export_port"] == port
