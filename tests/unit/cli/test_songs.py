"""A folder argument selects all songs in it, and no other files."""

import os
from pathlib import Path

import pytest

from serve_app.cli.songs import find
from serve_app.errors import InvalidInput


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"music")


def found(folder: Path, out: Path | None = None) -> list[str]:
    return [str(path.relative_to(folder)) for path in find([folder], out)]


def test_a_folder_gives_its_songs_in_order(tmp_path: Path) -> None:
    fill(tmp_path, "b.mp3", "a.wav", "C.FLAC", "d.mp4", "e.Opus")
    assert found(tmp_path) == ["C.FLAC", "a.wav", "b.mp3", "d.mp4", "e.Opus"]


def test_folders_are_searched_to_their_bottom(tmp_path: Path) -> None:
    fill(tmp_path, "z.mp3", "B/2/x.ogg", "B/1/x.m4a", "A/x.aiff")
    assert found(tmp_path) == ["z.mp3", "A/x.aiff", "B/1/x.m4a", "B/2/x.ogg"]


@pytest.mark.parametrize(
    "name",
    [
        *("cover.jpg", "notes.txt", "list.m3u", "song.mp3.part", "mp3", "Thumbs.db"),
        *(".hidden.mp3", "._song.mp3", ".cache/song.mp3", "a/.stemserve-x/song.wav"),
    ],
)
def test_what_is_no_song_or_hidden_is_left_out(name: str, tmp_path: Path) -> None:
    fill(tmp_path, name, "song.mp3")
    assert found(tmp_path) == ["song.mp3"]


def test_a_file_that_is_named_itself_may_be_called_anything(tmp_path: Path) -> None:
    fill(tmp_path, ".hidden", "Mr. Brightside", "x.txt")
    named = [tmp_path / name for name in ("x.txt", ".hidden", "Mr. Brightside")]
    assert find(named) == named
    assert find([tmp_path / "missing.mp3"]) == [tmp_path / "missing.mp3"]


def test_a_song_named_twice_is_one(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp3", "b.mp3")
    assert find([tmp_path / "b.mp3", tmp_path]) == [
        tmp_path / "b.mp3",
        tmp_path / "a.mp3",
    ]


@pytest.mark.parametrize("out", ["out", "deep/out", "../beside"])
def test_stems_of_an_earlier_run_are_no_songs(out: str, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    fill(folder, "a.mp3", "deep/b.mp3")
    fill(folder / out, "a/drums.wav", "a/vocals.wav", "b/accompaniment.mp3")
    assert found(folder, folder / out) == ["a.mp3", "deep/b.mp3"]


def test_stems_beside_their_songs_are_no_songs(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp3", "a/drums.wav", "a/vocals.wav", "album/b.mp3")
    # A song may have the name of a stem, outside of OUT/<song>.
    fill(tmp_path, "vocals.wav", "album/live/drums.mp3")
    songs = ["a.mp3", "vocals.wav", "album/b.mp3", "album/live/drums.mp3"]
    assert found(tmp_path, tmp_path) == songs
    assert found(tmp_path, tmp_path / "album" / "..") == songs


def test_a_folder_in_out_may_hold_files_called_like_stems(tmp_path: Path) -> None:
    fill(tmp_path / "new", "vocals.wav", "drums.wav")
    assert found(tmp_path / "new", tmp_path) == ["drums.wav", "vocals.wav"]


@pytest.mark.parametrize("names", [(), ("notes.txt",), (".hidden.mp3",)])
def test_a_folder_without_songs_is_said(names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", *names)
    fill(tmp_path, "a.mp3")
    with pytest.raises(
        InvalidInput, match="empty contains no file with an audio or video extension"
    ):
        find([tmp_path / "a.mp3", tmp_path / "empty"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    fill(tmp_path, "a.mp3", "closed/b.mp3")
    (tmp_path / "closed").chmod(0)
    with pytest.raises(InvalidInput, match="Permission denied"):
        find([tmp_path])
    (tmp_path / "closed").chmod(0o700)


def test_links_to_folders_are_not_followed_round_and_round(tmp_path: Path) -> None:
    fill(tmp_path, "album/a.mp3")
    (tmp_path / "album" / "again").symlink_to(tmp_path)
    assert found(tmp_path) == ["album/a.mp3"]
