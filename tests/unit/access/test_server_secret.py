"""The secret of a server is made once, whoever is first."""

import multiprocessing
from pathlib import Path

import pytest

from serve_app.access.server_secret import derived, server_secret
from serve_app.database import Database


def url(directory: Path) -> str:
    return f"sqlite:///{directory / 'jobs.sqlite3'}"


def _made(url: str) -> bytes:
    with Database(url) as database:
        return server_secret(database)


def test_two_processes_that_start_at_once_have_the_same_secret(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        found = pool.map(_made, [url(tmp_path)] * 8, chunksize=1)
    assert len(set(found)) == 1
    assert len(found[0]) == 32


def test_each_server_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert _made(url(tmp_path)) == _made(url(tmp_path))
    assert _made(url(tmp_path)) != _made(url(tmp_path / "other"))


def test_a_configured_secret_is_used_and_not_stored(tmp_path: Path) -> None:
    with Database(url(tmp_path)) as database:
        assert server_secret(database, "configured") == b"configured"
        assert server_secret(database) != b"configured"


@pytest.mark.parametrize("purpose", ["api keys", "links"])
def test_what_is_derived_for_a_purpose_tells_nothing_about_others(purpose: str) -> None:
    other = "links" if purpose == "api keys" else "api keys"
    assert derived(b"one", purpose) == derived(b"one", purpose)
    assert derived(b"one", purpose) != derived(b"one", other)
    assert derived(b"one", purpose) != derived(b"two", purpose)
