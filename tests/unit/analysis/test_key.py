"""Scales and cadences are heard in all 24 keys; codes are those of DJs."""

import numpy as np
import pytest

from serve_app.analysis import key
from serve_app.analysis.key import NO_KEY, Key
from tests.unit.analysis import music

KEYS = [(tonic, is_minor) for is_minor in (False, True) for tonic in range(12)]

# The circle of fifths as it is printed on the wheels, from one o'clock on.
CAMELOT_MINOR = ("G#", "D#", "A#", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
CAMELOT_MAJOR = ("B", "F#", "C#", "G#", "D#", "A#", "F", "C", "G", "D", "A", "E")


def named(name: str) -> Key:
    tonic, mode = name.split()
    return Key(key.PITCH_CLASSES.index(tonic), mode == "minor", 1.0)


@pytest.mark.parametrize(("tonic", "is_minor"), KEYS)
def test_scale_is_heard(tonic: int, is_minor: bool) -> None:
    found = key.find(music.scale(tonic, is_minor))
    assert (found.tonic, found.is_minor) == (tonic, is_minor)
    assert 0.3 < found.confidence <= 1.0


@pytest.mark.parametrize(("tonic", "is_minor"), KEYS)
def test_cadence_is_heard(tonic: int, is_minor: bool) -> None:
    found = key.find(music.cadence(tonic, is_minor))
    assert (found.tonic, found.is_minor) == (tonic, is_minor)
    assert 0.5 < found.confidence <= 1.0


def test_cadence_is_heard_through_drums() -> None:
    cadence = music.cadence(4, True)
    drums = music.drums(120.0, seconds=len(cadence) / music.RATE)
    found = key.find(cadence + np.float32(0.6) * drums[: len(cadence)])
    assert found.name == "E minor"


@pytest.mark.parametrize("cents", [-40, -20, 20, 40])
@pytest.mark.parametrize("tonic", [0, 7])
def test_tuning_is_followed(tonic: int, cents: int) -> None:
    found = key.find(music.scale(tonic, False, cents))
    assert (found.tonic, found.is_minor) == (tonic, False)


def test_loudness_does_not_matter() -> None:
    assert key.find(np.float32(1e-5) * music.scale(9, False)).name == "A major"


def test_a_short_song_has_a_key() -> None:
    assert key.find(music.cadence(2, False)[: 3 * music.RATE]).name == "D major"


@pytest.mark.parametrize(
    "song",
    [
        np.zeros(0, np.float32),
        np.full(1, 0.5, np.float32),
        np.zeros(5 * music.RATE, np.float32),
    ],
    ids=["nothing", "one sample", "silence"],
)
def test_what_has_no_pitch_is_not_claimed_to_have_a_key(song: music.Mono) -> None:
    assert key.find(song) == NO_KEY
    assert NO_KEY.name == "C major"
    assert NO_KEY.confidence == 0.0


@pytest.mark.parametrize("song", [music.drums(120.0), music.clicks(90.0)])
def test_drums_get_little_confidence(song: music.Mono) -> None:
    assert key.find(song).confidence < 0.3


@pytest.mark.parametrize("hour", range(1, 13))
def test_codes_are_those_of_the_camelot_wheel(hour: int) -> None:
    assert named(f"{CAMELOT_MINOR[hour - 1]} minor").camelot == f"{hour}A"
    assert named(f"{CAMELOT_MAJOR[hour - 1]} major").camelot == f"{hour}B"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("C major", "1d"),
        ("A minor", "1m"),
        ("G major", "2d"),
        ("E minor", "2m"),
        ("C# minor", "5m"),
        ("E major", "5d"),
        ("F major", "12d"),
        ("D minor", "12m"),
    ],
)
def test_codes_are_those_of_open_key(name: str, code: str) -> None:
    assert named(name).open_key == code
