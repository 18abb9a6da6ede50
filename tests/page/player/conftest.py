"""A small server and a page for the tests of the player."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.page.player import server as page_server
from tests.page.player.server import Server

TIMEOUT_MS = 30_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server without jobs."""
    with page_server.serving() as running:
        yield running


@contextmanager
def player_page(chromium: Any, server: Server, **options: Any) -> Iterator[Any]:
    """Open the player's page, empty; errors in its console fail the test."""
    size = {"viewport": {"width": 1280, "height": 800}}
    context = chromium.new_context(**(size | options))
    opened = context.new_page()
    opened.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: _note(said, errors))
    opened.goto(f"{server.url}/page/player.html")
    yield opened
    context.close()
    assert errors == []


def _note(said: Any, errors: list[str]) -> None:
    # Chromium itself reports each response with an error; tests send them on purpose.
    if said.type == "error" and "Failed to load resource" not in said.text:
        errors.append(said.text)
