"""Sites, and a page whose console, network and policy are watched."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.database import Database
from tests import media, ports
from tests.page.views import site as sites
from tests.page.views.opened import Opened, opened
from tests.page.views.site import Site


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the schema once: that takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "jobs.sqlite3"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def site(tmp_path: Path, empty_database: Path) -> Iterator[Site]:
    """A site that is open to everyone."""
    database = shutil.copy(empty_database, tmp_path / "jobs.sqlite3")
    with sites.serving(tmp_path, Path(database), ports.free_port()) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path, empty_database: Path) -> Iterator[Site]:
    """A site that needs keys."""
    database = shutil.copy(empty_database, tmp_path / "jobs.sqlite3")
    port = ports.free_port()
    with sites.serving(tmp_path, Path(database), port, needs_key=True) as running:
        yield running


@pytest.fixture(scope="module")
def shared(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[Opened]:
    """One site and one page for all tests of a module."""
    folder = tmp_path_factory.mktemp("site")
    database = Path(shutil.copy(empty_database, folder / "jobs.sqlite3"))
    with sites.serving(folder, database, ports.free_port()) as site:
        page = opened(chromium, site, "/page")
        yield page
        page.context.close()
        page.check()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Any]:
    """Open pages; each must end without errors and without foreign requests."""
    pages: list[Opened] = []

    def browse(site: Site, path: str = "/page", **options: Any) -> Opened:
        pages.append(opened(chromium, site, path, **options))
        return pages[-1]

    yield browse
    for each in pages:
        each.context.close()
    for each in pages:
        each.check()


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short song."""
    path = tmp_path_factory.mktemp("songs") / "song.mp3"
    media.write_song(path, "mp3", seconds=1.0)
    return path
