"""Any name goes in; a title for people and a safe name for a file come out."""

import re
from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.filenames import titles

NAMES = st.one_of(
    st.text(alphabet=st.characters(), max_size=400),
    st.text(alphabet="./\\ C:*?\"'%\0\n\u202e\udce9aé음", max_size=40),
    st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


@pytest.mark.parametrize(
    "name",
    [
        "song.mp3",
        "Don't Stop Me Now.mp3",
        "아리랑 (라이브).wav",
        "Ünïcode naïve 🎵.flac",
        "👨\u200d👩\u200d👧.mp3",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.mp3",
        "no suffix",
        "100% live.mp3",
        "100%25.wav",
        ".hidden.mp3",
        'Blue Monday (12" Mix).wav',
        "back\\slash.wav",
        "What's Up? *live* <3.mp3",
        "1:23.wav",
        "CON",
        "a" * 255,
        "é" * 255,
    ],
)
def test_what_people_write_is_the_title_as_it_is(name: str) -> None:
    assert titles.clean(name) == name


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd", "passwd"),
        ("/home/me/song.mp3", "song.mp3"),
        ("folder/song.mp3", "song.mp3"),
        ("song.mp3/", "song.mp3"),
        ("C:\\fakepath\\song.mp3", "song.mp3"),
        ("d:\\My Music\\song.mp3", "song.mp3"),
        ("\\\\server\\share\\song.mp3", "song.mp3"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("C:/music/song.mp3", "song.mp3"),
    ],
)
def test_of_a_path_the_last_part_is_the_title(name: str, title: str) -> None:
    assert titles.clean(name) == title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("  song.mp3 ", "song.mp3"),
        ("two\nlines.mp3", "two lines.mp3"),
        ("two\r\nlines.mp3", "two lines.mp3"),
        ("two\u2028lines.mp3", "two lines.mp3"),
        ("tab\tbed.mp3", "tab bed.mp3"),
        ("nul\0.mp3", "nul.mp3"),
        ("bell\x07.mp3", "bell.mp3"),
        ("delete\x7f.mp3", "delete.mp3"),
        ("song\u202egpm.exe", "songgpm.exe"),
        ("\u2066song\u2069.mp3", "song.mp3"),
        ("\ud83c\udfb5.mp3", "🎵.mp3"),
        ("half \ud83c.mp3", "half \ufffd.mp3"),
    ],
)
def test_what_breaks_lines_or_turns_them_is_taken_out(name: str, title: str) -> None:
    assert titles.clean(name) == title


@pytest.mark.parametrize(
    "name",
    ["", "   ", ".", "..", "...", "\0\x01", "\u200b", "\u202e", "/", "../..", "\\"],
)
def test_a_name_of_nothing_becomes_the_default(name: str) -> None:
    assert titles.clean(name) == titles.DEFAULT


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a" * 300 + ".mp3", "a" * 251 + ".mp3"),
        ("음" * 300 + ".FLAC", "음" * 250 + ".FLAC"),
        ("b" * 5000, "b" * 255),
    ],
)
def test_a_long_title_is_shortened_before_its_suffix(name: str, title: str) -> None:
    assert titles.clean(name) == title


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("노래.wav".encode(), "노래.wav"),
        ("naïve café.wav".encode("latin-1"), "naïve café.wav"),
        ("Die Ärzte - Schrei nach Liebe.wav".encode("latin-1"), None),
        ("Mötley Crüe.mp3".encode("latin-1"), "Mötley Crüe.mp3"),
        ("Don\u2019t \u2013 Stop.wav".encode("cp1252"), "Don\u2019t \u2013 Stop.wav"),
        ("“It\u2019s”.wav".encode("cp1252"), "“It\u2019s”.wav"),
        ("夜に駆ける.wav".encode("cp932"), "夜に駆ける.wav"),
        ("表示ソ.wav".encode("cp932"), "表示ソ.wav"),
        ("東.wav".encode("cp932"), "東.wav"),
        ("ライブ Ver2.wav".encode("cp932"), "ライブ Ver2.wav"),
    ],
)
def test_bytes_are_read_in_the_encoding_that_they_can_be(
    raw: bytes, text: str | None
) -> None:
    assert titles.decode(raw) == (text or raw.decode("latin-1"))
    of_a_path = raw.decode("utf-8", "surrogateescape")
    assert titles.clean(of_a_path) == (text or raw.decode("latin-1"))


def test_a_path_may_have_several_encodings() -> None:
    raw = "노래/".encode() + "夜に/".encode("cp932") + "café.wav".encode("latin-1")
    path = raw.decode("utf-8", "surrogateescape")
    assert titles.readable(path) == "노래/夜に/café.wav"
    assert titles.readable("plain/노래.wav") == "plain/노래.wav"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("song.mp3", "song_vocals.wav"),
        ("a.b.c.MP3", "a.b.c_vocals.wav"),
        ("video.m2ts", "video_vocals.wav"),
        ("Mr. Brightside", "Mr. Brightside_vocals.wav"),
        ("Track 01.final", "Track 01.final_vocals.wav"),
        ("song.tar.gz", "song.tar.gz_vocals.wav"),
        ("feat. Wav", "feat. Wav_vocals.wav"),
        (".hidden", "hidden_vocals.wav"),
        (".mp3", "song_vocals.wav"),
        ("...mp3", "song_vocals.wav"),
        ('Blue Monday (12" Mix).wav', "Blue Monday (12_ Mix)_vocals.wav"),
        ("back\\slash.wav", "back_slash_vocals.wav"),
        ("What's Up? *live*.mp3", "What's Up_ _live__vocals.wav"),
        ("100%25.wav", "100%25_vocals.wav"),
        ("e\u0301.wav", "é_vocals.wav"),
        ("음" * 255, "음" * 76 + "_vocals.wav"),
    ],
)
def test_a_stem_is_named_after_the_title(title: str, name: str) -> None:
    assert titles.file_name(title, "_vocals.wav") == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("Com1.tar.wav", "_Com1.tar.wav"),
        ("LPT¹", "_LPT¹"),
        ("AUX .wav", "_AUX .wav"),
        ("CONFUSION.wav", "CONFUSION.wav"),
        ("com10.wav", "com10.wav"),
        ("song.", "song"),
        ("song. . ", "song"),
        ("..song", "song"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\0b\nc.wav", "ab c.wav"),
        ("", "song"),
        ("x" * 300 + ".wav", "x" * 236 + ".wav"),
    ],
)
def test_a_safe_name_can_be_a_file_anywhere(name: str, safe: str) -> None:
    assert titles.safe(name) == safe


def assert_safe(name: str) -> None:
    """Check by the rules of Linux, macOS and Windows."""
    assert 0 < len(name.encode()) <= titles.LONGEST_FILE_NAME_BYTES
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]', name)
    assert name[0] not in ". "
    assert name[-1] not in ". "
    assert not PureWindowsPath(name).is_reserved()


@given(name=NAMES)
def test_whatever_the_name_is_title_and_file_name_are_fit(name: str) -> None:
    title = titles.clean(name)
    assert titles.clean(title) == title
    assert 0 < len(title) <= titles.LONGEST_CHARACTERS
    assert "/" not in title
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", title)
    title.encode()
    for file_name in (
        titles.safe(name),
        titles.safe(title),
        titles.file_name(title),
        titles.file_name(title, "_accompaniment.flac"),
    ):
        assert_safe(file_name)
        assert titles.safe(file_name) == file_name
    assert titles.file_name(title, "_vocals.wav").endswith("_vocals.wav")
