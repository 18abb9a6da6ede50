"""An origin, and downloads from it into a folder of the test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import pytest

from serve_app.archive.downloads.fetch import Downloads, Fetched, Limits
from serve_app.outbound.client import OutboundClient
from tests import origin as origins
from tests.origin import Origin

LIMITS = Limits(
    max_bytes=100_000_000,
    reserve_bytes=0,
    stall_seconds=10.0,
    max_height=0,
    pause_seconds=0.01,
)


@dataclass(frozen=True)
class Desk:
    """Downloads into `folder`, by one key unless another is named."""

    folder: Path
    client: OutboundClient
    limits: Limits = LIMITS

    def fetch(
        self,
        url: str,
        key: str = "1:2:example:unknown",
        report: Callable[[float], None] = lambda _: None,
        cancelled: Event | None = None,
    ) -> Fetched:
        return self.downloads.fetch(key, url, report, cancelled or Event())

    @property
    def downloads(self) -> Downloads:
        return Downloads(self.client, self.folder, self.limits)

    def with_limits(self, **limits: float) -> "Desk":
        return replace(self, limits=replace(self.limits, **limits))  # type: ignore[arg-type]


@pytest.fixture
def origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    client = origins.client()
    yield Desk(tmp_path / "downloads", client)
    client.close()
