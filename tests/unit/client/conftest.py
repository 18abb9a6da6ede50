from collections.abc import Iterator

import pytest

from serve_app.client import Client, RetryPolicy
from tests.unit.client.service import Service


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def pauses() -> list[float]:
    """Return a list that records the client's waits, which do not sleep."""
    return []


@pytest.fixture
def client(service: Service, pauses: list[float]) -> Iterator[Client]:
    with Client(service.url, RetryPolicy(tries=4), pauses.append) as client:
        yield client
