"""A browser for tests: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest

# Required in CI. Elsewhere tests that need it are skipped where there is none.
CHROMIUM = os.environ.get("CHROMIUM")
# As root in a container, Chromium has no sandbox and little /dev/shm.
FLAGS = (
    *("--no-sandbox", "--disable-dev-shm-usage"),
    "--autoplay-policy=no-user-gesture-required",
)


def error() -> type[Exception]:
    """Return the class of errors of scripts in pages."""
    found: type[Exception] = _playwright().Error
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """Run Chromium until the block ends; one at a time in a process."""
    path = CHROMIUM or shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with _playwright().sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def _playwright() -> Any:
    imported = import_module if CHROMIUM else pytest.importorskip
    return imported("playwright.sync_api")
