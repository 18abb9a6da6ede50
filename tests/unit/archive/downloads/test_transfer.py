"""What a killed process may leave is taken over, at every moment of its end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.archive.downloads.room import Room
from serve_app.archive.downloads.source import Source, Tally
from serve_app.archive.downloads.transfer import Transfer
from serve_app.archive.errors import SourceFailed
from serve_app.outbound.partial_file import ByteRange
from tests.origin import Origin
from tests.unit.archive.downloads.conftest import Desk

MakeTransfer = Callable[..., Transfer]
DATA = bytes(range(256)) * 1000


@pytest.fixture
def transfer(desk: Desk, tmp_path: Path) -> MakeTransfer:
    def transfer(*range_: int) -> Transfer:
        source = Source(desk.client, 1.0, 0.01, Tally(), lambda: True)
        room = Room(tmp_path, 10**9, 0)
        return Transfer(source, room, tmp_path / "file", ByteRange(*range_))

    return transfer


def forget_the_end(path: Path) -> None:
    """Make it as if its process was killed after the last byte."""
    kept = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**kept, "sha256": None}))


@pytest.mark.parametrize("range_", [(), (7, 5000), (9,)])
def test_all_bytes_without_the_end_need_no_request(
    origin: Origin, transfer: MakeTransfer, range_: tuple[int, ...]
) -> None:
    url = origin.add("/a", DATA)
    whole = transfer(*range_).fetch(url)
    forget_the_end(whole.path)
    assert transfer(*range_).fetch(url) == whole
    assert len(origin.requests) == 1


def test_all_bytes_of_an_unknown_length_end_where_the_server_says(
    origin: Origin, transfer: MakeTransfer
) -> None:
    url = origin.add("/a", DATA, has_length=False)
    whole = transfer().fetch(url)
    forget_the_end(whole.path)
    again = transfer()
    assert again.fetch(url) == whole
    assert again.source.tally.fetched_bytes == 0


def test_a_file_that_has_become_shorter_begins_anew(
    origin: Origin, transfer: MakeTransfer
) -> None:
    etag = '"never changes"'
    url = origin.add("/a", DATA, etag=etag, cut_after=[200_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        transfer().fetch(url)
    origin.add("/a", DATA[:100_000], etag=etag)
    assert transfer().fetch(url).size_bytes == 100_000


def test_a_range_comes_alone_after_any_cuts(
    origin: Origin, transfer: MakeTransfer
) -> None:
    url = origin.add("/a", DATA, cut_after=[1000, 0, 2000])
    part = transfer(300, 50_000)
    assert part.fetch(url).path.read_bytes() == DATA[300:50_300]
    assert part.source.tally.fetched_bytes == 50_000


def test_a_range_beyond_the_end_fails(origin: Origin, transfer: MakeTransfer) -> None:
    url = origin.add("/a", DATA)
    with pytest.raises(SourceFailed, match="no longer has the rest"):
        transfer(len(DATA), 10).fetch(url)
    with pytest.raises(SourceFailed):
        transfer(len(DATA) - 5, 10).fetch(url)


def test_more_bytes_than_the_range_are_not_taken(
    origin: Origin, transfer: MakeTransfer
) -> None:
    url = origin.add("/a", DATA, ignores_end=True)
    with pytest.raises(SourceFailed, match="more bytes than it stated"):
        transfer(300, 5000).fetch(url)


def test_a_server_that_ignores_the_condition_mixes_no_files(
    origin: Origin, transfer: MakeTransfer
) -> None:
    """It sends the rest of another file, at a URL with another query."""
    url = origin.add("/a", DATA, cut_after=[200_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        transfer().fetch(f"{url}?id=1")
    other = DATA[::-1]
    origin.add("/a", other, etag=None, ignores_if_range=True)
    assert transfer().fetch(f"{url}?id=2").path.read_bytes() == other
