import io
from pathlib import Path

import pytest

from serve_app.audio.splice import Stretch, find, replaced, spliced

DATA = bytes(range(256)) * 600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "song.mp3").write_bytes(DATA)
    return tmp_path / "song.mp3"


@pytest.mark.parametrize("start", [0, 3, 99_999])
def test_pieces_are_read_as_one_file(path: Path, start: int) -> None:
    pieces = [Stretch(5, 100_000), b"between", Stretch(7, 7), Stretch(9, 12)]
    expected = DATA[5:100_000] + b"between" + DATA[9:12]
    with spliced(path, pieces) as file:
        file.seek(start)
        assert file.read() == expected[start:]
        assert file.seek(-10, io.SEEK_END) == len(expected) - 10
        assert file.read(4) == expected[-10:-6]
        file.seek(2, io.SEEK_CUR)
        assert file.read() == expected[-4:]
        assert file.read() == b""


def test_a_splice_tells_nothing_of_the_files_name(path: Path) -> None:
    with spliced(path, [Stretch(0, 4)]) as file:
        assert "." not in str(file.name)


def test_changes_leave_the_rest_as_it_is(path: Path) -> None:
    pieces = replaced(Stretch(10, 50), [(30, b"second"), (12, b"one")])
    with spliced(path, pieces) as file:
        assert file.read() == (
            DATA[10:12] + b"one" + DATA[15:30] + b"second" + DATA[36:50]
        )


@pytest.mark.parametrize("position", [0, 65_534, 65_536, 131_070, 153_595])
def test_a_pattern_is_found_wherever_blocks_end(tmp_path: Path, position: int) -> None:
    data = bytearray(153_600)
    data[position : position + 5] = b"fLaC!"
    (tmp_path / "song").write_bytes(data)
    with spliced(tmp_path / "song", [Stretch(0, len(data))]) as file:
        assert find(file, b"fLaC!", 0, len(data)) == position
        assert find(file, b"fLaC!", position + 1, len(data)) is None
        assert find(file, b"fLaC!", 0, position + 4) is None
