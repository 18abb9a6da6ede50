"""One Ray cluster for the test session, and the application that most modules share."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import ray
from ray import serve

from deployments import gate, python_path, router_loop
from tests.ports import free_port
from tests.serve.application import running_demo
from tests.serve.service import Service

LEASE_SECONDS = 3.0
# The port of the console's origin, which the server allows.
CONSOLE_PORT = free_port()
CORS_ORIGINS = (f"http://localhost:{CONSOLE_PORT}",)
# Short, but longer than an event loop is delayed on a busy machine.
HEARTBEAT_TIMEOUT_SECONDS = 10.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: they run on the cluster.

    Modules that use the shared application come last, because only one at a time can
    run on the cluster, and this one runs until the end.
    """
    here = Path(__file__).parent
    found = [item for item in items if here in item.path.parents]
    for item in found:
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.filterwarnings("default"))
    sharing = {item.path for item in found if "demo" in _fixtures(item)}
    items.sort(key=lambda item: item.path in sharing)


def _fixtures(item: pytest.Item) -> Sequence[str]:
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return names


@pytest.fixture(scope="session")
def cluster() -> Iterator[int]:
    """Start Ray and Serve; yield the port of the HTTP proxy."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    # As `stemserve serve` does: else all other processes come before replicas.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  Ray's name
    os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = "60"
    os.environ[gate.VARIABLE] = gate.IMPORT_PATH
    os.environ[router_loop.VARIABLE] = router_loop.OF_PROXIES
    ray.init(
        address="local",
        num_cpus=16,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env=python_path.runtime_env(),
    )
    port = free_port()
    serve.start(
        http_options={"host": "127.0.0.1", "port": port},
        logging_config={"encoding": "TEXT", "enable_access_log": False},
    )
    yield port
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="session")
def demo(cluster: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the whole application with the bundled model and a short lease."""
    settings = {
        "lease_seconds": LEASE_SECONDS,
        "heartbeat_timeout_seconds": HEARTBEAT_TIMEOUT_SECONDS,
        "orphan_grace_seconds": 5.0,
        "cors_origins": CORS_ORIGINS,
    }
    data_dir = tmp_path_factory.mktemp("data")
    with running_demo(cluster, data_dir, **settings) as service:
        yield service


@pytest.fixture(scope="module")
def service(demo: Service) -> Service:
    """The application of all modules that need no other settings or data."""
    return demo
