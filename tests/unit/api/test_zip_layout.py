"""A zip is known before its files are read, and any range of it can be read alone."""

import io
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve_app.api.ranges import ByteRange
from serve_app.api.zip_layout import Member, ZipLayout

MADE_AT = datetime(2026, 11, 27, 15, 30, 44, tzinfo=UTC)
FILES = {
    "Song_drums.wav": bytes(range(97)),
    "empty.txt": b"",
    "내 노래 Ümläut_vocals.wav": b"vocals",
}
GIB = 1024**3


def layout_of(files: dict[str, bytes]) -> ZipLayout:
    members = [
        Member(name, len(data), zlib.crc32(data)) for name, data in files.items()
    ]
    return ZipLayout(members, MADE_AT)


def read(files: dict[str, bytes], start: int = 0, end: int | None = None) -> bytes:
    layout, contents = layout_of(files), list(files.values())

    def read_member(position: int, span: ByteRange) -> Iterator[bytes]:
        yield contents[position][span.start : span.end]

    stop = layout.size_bytes if end is None else end
    return b"".join(layout.read(ByteRange(start, stop), read_member))


def test_python_finds_the_files_in_it() -> None:
    with zipfile.ZipFile(io.BytesIO(read(FILES))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (2026, 11, 27, 15, 30, 44)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_info_zip_finds_no_error_in_it(tmp_path: Path) -> None:
    path = tmp_path / "stems.zip"
    path.write_bytes(read(FILES))
    subprocess.run(["unzip", "-q", path, "-d", tmp_path / "out"], check=True)
    found = {each.name: each.read_bytes() for each in (tmp_path / "out").iterdir()}
    assert found == FILES


def test_each_range_is_that_of_the_whole() -> None:
    files = {"a": b"0123456789", "b": b"", "ü": b"xy"}
    whole = read(files)
    assert len(whole) == layout_of(files).size_bytes
    for start in range(len(whole) + 1):
        for end in range(start, len(whole) + 1):
            assert read(files, start, end) == whole[start:end]


def test_only_members_in_a_range_are_read() -> None:
    layout = layout_of(FILES)
    whole = read(FILES)
    drums, vocals = whole.index(bytes(range(97))), whole.index(b"vocals", 200)
    assert list(layout.members_in(ByteRange(0, drums))) == []
    assert list(layout.members_in(ByteRange(drums + 96, drums + 97))) == [0]
    assert list(layout.members_in(ByteRange(drums + 97, vocals))) == []
    assert list(layout.members_in(ByteRange(0, layout.size_bytes))) == [0, 2]


def test_its_size_is_known_without_the_checksums() -> None:
    members = [Member(name, len(data)) for name, data in FILES.items()]
    assert ZipLayout(members, MADE_AT).size_bytes == len(read(FILES))


class Zeros(io.RawIOBase):
    """An archive of zeros, of which only what is asked for is made."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._layout = ZipLayout(members, MADE_AT)
        self._position = 0
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_CUR: self._position, io.SEEK_END: self._layout.size_bytes}
        self._position = origin.get(whence, 0) + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._layout.size_bytes
        end = end if size < 0 else min(end, self._position + size)
        span = ByteRange(self._position, end)
        data = b"".join(
            self._layout.read(span, lambda _, each: iter([bytes(each.size_bytes)]))
        )
        self._position += len(data)
        self.read_bytes += len(data)
        return data


@pytest.mark.parametrize(
    "sizes",
    [
        (5 * GIB, 3),
        (3 * GIB, 3 * GIB, 3),
        (4 * GIB - 1,),
        (4 * GIB - 2, 1),
        (4 * GIB,),
        (4 * GIB - 200, 1),
    ],
)
def test_files_and_archives_of_4_gib_have_sizes_of_64_bits(
    sizes: Sequence[int],
) -> None:
    # Only short files are read to their end, where their checksum is checked.
    crcs = {size: zlib.crc32(bytes(size)) for size in sizes if size < GIB}
    members = [
        Member(f"{number}.wav", size, crcs.get(size, 0))
        for number, size in enumerate(sizes)
    ]
    file = Zeros(members)
    with zipfile.ZipFile(file) as archive:  # type: ignore[arg-type]
        found = archive.infolist()
        assert [each.file_size for each in found] == list(sizes)
        assert found[0].header_offset == 0
        for each in found:
            with archive.open(each) as content:
                assert set(content.read(1 if each.file_size < 9 else 9)) == {0}
    assert file.read_bytes < 100_000


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../etc/passwd", "/etc", "a/b", "a\\b", "a\0b", "x" * 65_536],
)
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't be named"):
        ZipLayout([Member(name, 1)], MADE_AT)


def test_a_name_is_there_once() -> None:
    with pytest.raises(ValueError, match="must differ"):
        ZipLayout([Member("a", 1), Member("a", 2)], MADE_AT)


def test_there_may_be_as_many_files_as_a_plain_zip_has() -> None:
    members = [Member(str(number), 0) for number in range(65_535)]
    assert ZipLayout(members[:-1], MADE_AT).size_bytes
    with pytest.raises(ValueError, match="at most 65534 files"):
        ZipLayout(members, MADE_AT)


@pytest.mark.parametrize("year", [1970, 2200])
def test_a_time_that_a_zip_can_t_have_is_the_nearest(year: int) -> None:
    layout = ZipLayout([Member("a", 0)], datetime(year, 5, 6, tzinfo=UTC))
    whole = b"".join(
        layout.read(ByteRange(0, layout.size_bytes), lambda _, __: iter(()))
    )
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        found = archive.infolist()[0].date_time
    assert found == (min(max(year, 1980), 2107), 5, 6, 0, 0, 0)
