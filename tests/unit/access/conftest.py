"""An issuer of tokens, and a server that requires credentials."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.unit.access import issuer as issuers
from tests.unit.access.gate import Gate, guarded
from tests.unit.access.issuer import Issuer
from tests.unit.server import Server


@pytest.fixture
async def gate(server: Server) -> AsyncIterator[Gate]:
    async with guarded(server) as gate:
        yield gate


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with one Ed25519 key, `one`."""
    with issuers.running() as issuer:
        issuer.add("one")
        yield issuer
