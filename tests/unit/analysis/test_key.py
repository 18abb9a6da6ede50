"""Scales and cadences are recognised in all 24 keys; codes are those of DJs."""

import numpy as np
import pytest

from serve_app.analysis import key
from serve_app.analysis.chroma import PITCHES, Pitches
from serve_app.analysis.key import NO_KEY, Key, KeyListener, Keys
from tests.unit.analysis import music

KEYS = [(tonic, is_minor) for is_minor in (False, True) for tonic in range(12)]

# The circle of fifths as printed on the wheels, from one o'clock.
CAMELOT_MINOR = ("G#", "D#", "A#", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
CAMELOT_MAJOR = ("B", "F#", "C#", "G#", "D#", "A#", "F", "C", "G", "D", "A", "E")


def named(name: str) -> Key:
    tonic, mode = name.split()
    return Key(key.PITCH_CLASSES.index(tonic), mode == "minor", 1.0)


def found(samples: music.Mono, block: int = music.RATE) -> Keys:
    listener = KeyListener()
    for start in range(0, len(samples), block):
        listener.add(samples[start : start + block])
    return listener.result()


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


@pytest.mark.parametrize("cents", [-40, 40])
@pytest.mark.parametrize("mode", ["major", "minor", "dorian"])
@pytest.mark.parametrize("tonic", range(12))
def test_36_keys_are_told_40_cents_off(tonic: int, mode: str, cents: int) -> None:
    """Dorian counts as minor because of its third."""
    if mode == "dorian":
        song = music.dorian(tonic, cents)
    else:
        song = music.cadence(tonic, mode == "minor", cents)
    keys = found(song)
    assert (keys.key.tonic, keys.key.is_minor) == (tonic, mode != "major")
    assert keys.tuning_hz == pytest.approx(440 * 2 ** (cents / 1200), abs=1.0)


def test_loudness_does_not_matter() -> None:
    assert key.find(np.float32(1e-5) * music.scale(9, False)).name == "A major"


def test_a_short_song_has_a_key() -> None:
    assert key.find(music.cadence(2, False)[: 3 * music.RATE]).name == "D major"


@pytest.mark.parametrize("silent_seconds", [0, 20])
def test_modulations_are_told_with_their_times(silent_seconds: int) -> None:
    silence = np.zeros(silent_seconds * music.RATE, np.float32)
    first = np.concatenate([silence, np.tile(music.cadence(0, False), 6)])
    second = np.tile(music.cadence(3, True), 4)
    keys = found(np.concatenate([first, second]))
    assert [span.key.name for span in keys.timeline] == ["C major", "D# minor"]
    seconds = len(first) / music.RATE
    before, after = keys.timeline
    assert before.start_seconds == 0
    assert before.end_seconds == after.start_seconds
    assert after.start_seconds == pytest.approx(seconds, abs=4)
    assert after.end_seconds == pytest.approx(seconds + len(second) / music.RATE)
    assert keys.key.name == "C major"


def test_the_key_is_the_longest_one() -> None:
    first = np.tile(music.cadence(7, False), 3)
    second = np.tile(music.cadence(10, False), 6)
    assert found(np.concatenate([first, second])).key.name == "A# major"


def test_the_runner_up_is_another_key_with_its_share() -> None:
    keys = found(music.scale(2, True))
    assert keys.runner_up is not None
    assert keys.runner_up.name != keys.key.name
    assert 0 <= keys.runner_up.confidence <= 1 - keys.key.confidence


def test_silence_before_a_song_does_not_matter() -> None:
    silence = np.zeros(20 * music.RATE, np.float32)
    alone = found(music.cadence(5, False))
    late = found(np.concatenate([silence, music.cadence(5, False)]))
    assert late.key.name == alone.key.name
    assert late.key.confidence == pytest.approx(alone.key.confidence, abs=0.1)
    assert late.timeline[-1].end_seconds == pytest.approx(20 + 8 * 0.7, abs=0.01)


@pytest.mark.parametrize("block", [1_000, 50_000])
def test_the_size_of_blocks_does_not_matter(block: int) -> None:
    song = music.cadence(8, True)
    assert found(song, block) == found(song, len(song))


def test_why_there_is_no_key() -> None:
    silence = np.zeros(5 * music.RATE, np.float32)
    noise = np.random.default_rng(1).standard_normal(8 * music.RATE)
    assert found(silence).reason == "silence"
    keys = found(np.asarray(0.1 * noise, np.float32))
    assert keys.reason == "no pitch"
    assert keys.key == NO_KEY
    assert keys.runner_up is None
    assert keys.timeline == ()
    assert found(music.scale(0, False)).reason is None


def test_a_long_song_is_told_in_pieces() -> None:
    song = np.tile(music.cadence(9, True), 60)
    keys = found(song)
    assert [span.key.name for span in keys.timeline] == ["A minor"]


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


def test_pitches_at_random_get_little_confidence() -> None:
    """One profile always fits best, which alone does not make a key."""
    for seed in range(6):
        drawn = np.random.default_rng(seed).exponential(1.0, (30, PITCHES))
        pitches = Pitches(drawn.astype(np.float32), 0.0, in_tune=0.5)
        assert key.keys(pitches, 30.0).key.confidence < 0.3


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
