"""A browser for the tests of the page."""

import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

# As for the archive's player: required in CI, else skipped where there is none.
CHROMIUM = os.environ.get("CHROMIUM")
# As root in a container, Chromium has no sandbox and little /dev/shm.
FLAGS = (
    *("--no-sandbox", "--disable-dev-shm-usage"),
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser."""
    path = CHROMIUM or shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    imported = import_module if CHROMIUM else pytest.importorskip
    playwright: Any = imported("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()
