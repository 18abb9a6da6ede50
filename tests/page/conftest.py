"""A browser for the tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser."""
    with browser.launched() as chromium:
        yield chromium
