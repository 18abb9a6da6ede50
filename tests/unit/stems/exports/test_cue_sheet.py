import re

import pytest

from serve_app.stems.exports import cue_sheet
from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.tags import Tags
from serve_app.stems.exports.track import Section
from tests.unit.stems.exports.songs import track


def lines(**changes: object) -> list[str]:
    text = cue_sheet.render(track(**changes)).decode("utf-8-sig")
    assert text.endswith("\r\n")
    return text.split("\r\n")[:-1]


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (0, "00:00:00"),
        (1 / 75, "00:00:01"),
        (59.9999, "00:59:74"),
        (60, "01:00:00"),
        (61.5, "01:01:37"),
        (36_000, "600:00:00"),
    ],
)
def test_times_are_in_minutes_seconds_and_75ths(seconds: float, code: str) -> None:
    assert cue_sheet.timecode(seconds) == code


def test_sections_are_tracks() -> None:
    assert lines(tags=Tags(title="T", artist="A", genre="G", date="1999")) == [
        'REM GENRE "G"',
        "REM DATE 1999",
        "REM BPM 128",
        "REM KEY F#m",
        'PERFORMER "A"',
        'TITLE "T"',
        'FILE "song.mp3" MP3',
        "  TRACK 01 AUDIO",
        '    TITLE "T"',
        "    INDEX 01 00:00:00",
        "  TRACK 02 AUDIO",
        '    TITLE "intro"',
        "    INDEX 01 00:00:18",
        "  TRACK 03 AUDIO",
        '    TITLE "drop"',
        "    INDEX 01 01:00:18",
    ]


def test_a_song_without_sections_is_one_track() -> None:
    found = lines(sections=(), location="C:\\m\\a.flac", bpm=0.0, segments=(), key="")
    assert found == [
        'TITLE "a"',
        'FILE "a.flac" WAVE',
        *("  TRACK 01 AUDIO", '    TITLE "a"', "    INDEX 01 00:00:00"),
    ]


@pytest.mark.parametrize(
    ("codec", "name", "kind"),
    [
        ("mp3float", "noext", "MP3"),
        ("mp3", "x.wav", "MP3"),
        ("", "x.mp3", "MP3"),
        ("", ".mp3", "WAVE"),
        ("pcm_s16be", "x.AIF", "AIFF"),
        ("flac", "x.flac", "WAVE"),
    ],
)
def test_the_type_is_that_of_the_sound(codec: str, name: str, kind: str) -> None:
    found = lines(location=name, codec=CodecFacts(codec))
    assert f'FILE "{name}" {kind}' in found


@pytest.mark.parametrize(
    ("name", "title"),
    [(".mp3", ".mp3"), ("a.b.mp3", "a.b"), ("noext", "noext"), ("C:\\m\\a.mp3", "a")],
)
def test_a_song_is_never_without_a_title(name: str, title: str) -> None:
    assert f'TITLE "{title}"' in lines(location=name)


def test_starts_increase_from_0_and_there_are_at_most_99() -> None:
    """Those beyond the song's end, and those that start in one frame, have no place."""
    starts = [700.0, *(n * 3.0 for n in range(150)), 3.001, -1.0]
    found = lines(sections=tuple(Section(start, "x") for start in starts))
    codes = [line.split()[-1] for line in found if "INDEX" in line]
    assert len(codes) == 99
    assert codes[0] == "00:00:00"
    assert codes == sorted(set(codes))


def test_quotes_and_lines_can_not_end_a_title() -> None:
    found = lines(sections=(Section(0.0, 'a "b"\r\nTRACK 09'),))
    assert "    TITLE \"a 'b' TRACK 09\"" in found


def test_what_is_not_ascii_has_a_byte_order_mark() -> None:
    assert cue_sheet.render(track(tags=Tags(title="ü"))).startswith(b"\xef\xbb\xbf")
    assert re.match(rb"REM", cue_sheet.render(track()))
