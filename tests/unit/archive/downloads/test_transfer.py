"""What a killed process may leave is taken over, at every moment of its end."""

import json
from pathlib import Path

import pytest

from serve_app.archive.downloads.room import Room
from serve_app.archive.downloads.source import Source, Tally
from serve_app.archive.downloads.transfer import Transfer
from serve_app.archive.errors import SourceFailed
from serve_app.outbound.partial_file import ByteRange
from tests import origin as origins
from tests.origin import Origin

DATA = bytes(range(256)) * 1000


def transfer(folder: Path, range_: ByteRange | None = None) -> Transfer:
    source = Source(origins.client(), 1.0, 0.01, Tally(), lambda: True)
    room = Room(folder, 10**9, 0)
    return Transfer(source, room, folder / "file", range_ or ByteRange())


def forget_the_end(path: Path) -> None:
    """Make it as if its process was killed after the last byte."""
    kept = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**kept, "sha256": None}))


@pytest.mark.parametrize("range_", [ByteRange(), ByteRange(7, 5000), ByteRange(9)])
def test_all_bytes_without_the_end_need_no_request(
    origin: Origin, tmp_path: Path, range_: ByteRange
) -> None:
    url = origin.add("/a", DATA)
    whole = transfer(tmp_path, range_).fetch(url)
    forget_the_end(whole.path)
    assert transfer(tmp_path, range_).fetch(url) == whole
    assert len(origin.requests) == 1


def test_all_bytes_of_an_unknown_length_end_where_the_server_says(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/a", DATA, has_length=False)
    whole = transfer(tmp_path).fetch(url)
    forget_the_end(whole.path)
    again = transfer(tmp_path)
    assert again.fetch(url) == whole
    assert again.source.tally.fetched_bytes == 0


def test_a_file_that_has_become_shorter_begins_anew(
    origin: Origin, tmp_path: Path
) -> None:
    etag = '"never changes"'
    url = origin.add("/a", DATA, etag=etag, cut_after=[200_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        transfer(tmp_path).fetch(url)
    origin.add("/a", DATA[:100_000], etag=etag)
    assert transfer(tmp_path).fetch(url).size_bytes == 100_000


def test_a_range_comes_alone_after_any_cuts(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/a", DATA, cut_after=[1000, 0, 2000])
    part = transfer(tmp_path, ByteRange(300, 50_000))
    assert part.fetch(url).path.read_bytes() == DATA[300:50_300]
    assert part.source.tally.fetched_bytes == 50_000


def test_a_range_beyond_the_end_fails(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/a", DATA)
    with pytest.raises(SourceFailed, match="no longer has the rest"):
        transfer(tmp_path, ByteRange(len(DATA), 10)).fetch(url)
    with pytest.raises(SourceFailed):
        transfer(tmp_path, ByteRange(len(DATA) - 5, 10)).fetch(url)
