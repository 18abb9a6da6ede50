from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client.service import Service


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "My [song].mp3"
    path.write_bytes(b"music" * 1_000)
    return path
