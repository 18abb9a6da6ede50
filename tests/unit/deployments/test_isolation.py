"""The ports and files of a local server are closed to other users."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import console, isolation
from serve_app.settings import Settings

SHOW = """
import os
import pathlib
from deployments import console, isolation

isolation.isolate()
import ray
from ray._private import ray_constants, services
from ray._private.authentication.authentication_utils import is_token_auth_enabled

tls = os.environ["RAY_USE_TLS"]
address = services.get_node_ip_address()
print(is_token_auth_enabled(), tls, address, oct(os.umask(0)))
print(os.environ["RAY_AUTH_TOKEN"])
key = pathlib.Path(os.environ["RAY_TLS_SERVER_KEY"])
print(oct(key.parent.stat().st_mode), key.is_file())
print(key)
"""


def shown(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_each_start_has_a_ray_with_tls_and_a_new_token_on_loopback() -> None:
    """Whatever the user's environment says."""
    said = {
        **{"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "known", "HOME": "/nowhere"},
        "RAY_USE_TLS": "0",
    }
    first, second = shown(**said), shown(**said)
    assert first[0] == second[0] == "True 1 127.0.0.1 0o77"
    assert len({first[1], second[1], "known"}) == 3
    assert first[2] == second[2] == "0o40700 True"
    assert len({first[3], second[3]}) == 2
    assert not Path(first[3]).parent.exists(), "it outlives its process"
    assert min(len(first[1]), len(second[1])) >= 32


def test_ray_is_imported_after_its_environment_is_set() -> None:
    code = "import deployments.isolation, sys; print('ray' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_data_of_an_earlier_version_is_closed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir(0o755)
    database = tmp_path / "jobs.sqlite3-wal"
    other = tmp_path / "notes.txt"
    for path in (database, other):
        path.touch(0o644)
    tmp_path.chmod(0o755)
    isolation.close_data(Settings(data_dir=tmp_path))
    modes = [
        path.stat().st_mode & 0o777
        for path in (tmp_path / "files", database, other, tmp_path)
    ]
    assert modes == [0o700, 0o600, 0o644, 0o755]


@pytest.mark.parametrize(
    ("mode", "warnings"), [(None, 1), ("disabled", 1), ("token", 0), ("TOKEN", 0)]
)
def test_a_cluster_without_tokens_is_warned_of(
    mode: str | None,
    warnings: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    isolation.warn_of_open_ray()
    found = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(found) == warnings
    assert all("RAY_AUTH_MODE=token" in one.getMessage() for one in found)


def test_the_longest_path_of_haproxys_socket_is_one_that_it_takes() -> None:
    """Ray adds the node's id, 56 characters, to the file name."""
    start = Path("x" * console._MAX_PARENT_BYTES, "stemserve-abcdefgh")
    files = isolation.haproxy_files(start)
    socket = Path(files["RAY_SERVE_HAPROXY_SOCKET_PATH"])
    assert all(Path(path).is_relative_to(start) for path in files.values())
    assert len(str(socket.parent / ("f" * 56) / socket.name)) <= 97
