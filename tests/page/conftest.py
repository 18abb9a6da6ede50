"""A browser for the tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import browser


# Playwright's loop runs in this thread as long as its browser does. Tests of other
# modules, which run loops of their own in the same process, would fail beside it.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, for one module."""
    with browser.launched() as chromium:
        yield chromium
