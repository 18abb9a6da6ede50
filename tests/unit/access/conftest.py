"""An issuer of tokens for whoever asks for one."""

from collections.abc import Iterator

import pytest

from tests.unit.access import issuer as issuers
from tests.unit.access.issuer import Issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with one Ed25519 key, `one`."""
    with issuers.running() as issuer:
        issuer.add("one")
        yield issuer
