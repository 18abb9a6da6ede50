"""What all tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disks
from tests import hub as hubs
from tests import s3 as s3_servers
from tests.databases import Postgres
from tests.serve import intruders

# A test run in the background of a script begins with SIGINT ignored, and so would
# every process that the tests start in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Say aloud what the tests of the storage and of open ports are worth."""
    reason = intruders.reason_not_to_try()
    attacks = f"NOT TRIED: {reason}" if reason else "tried"
    return [
        f"S3 server: {s3_servers.choice()}",
        f"attacks from other networks and as other users: {attacks}",
    ]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run a Postgres for as long as the tests do."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    yield server
    server.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[disks.SmallDisk]:
    """Mount a disk of 32 MiB, which a test can fill."""
    with disks.mounted(tmp_path / "disk", 32 * 1024**2) as disk:
        yield disk


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_servers.S3Server]:
    """Run an S3 server for as long as the tests do."""
    server = s3_servers.start(tmp_path_factory.mktemp("s3") / "server")
    yield server
    server.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[hubs.Hub]:
    """Run a Hub, which huggingface_hub in this process takes for the real one."""
    # Imported here: most tests need no Hub.
    import huggingface_hub
    from huggingface_hub import constants

    for name in ("HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with hubs.running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub
        huggingface_hub.close_session()
