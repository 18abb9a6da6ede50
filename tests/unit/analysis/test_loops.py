"""A loop's length gives its exact tempo; other pieces are not loops."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soxr

from serve_app.analysis import loops
from serve_app.analysis.rhythm import RhythmListener
from serve_app.analysis.song import SongListener
from serve_app.stems.reporter import heard
from tests import media
from tests.unit.analysis import music

# Steps and beats in a bar, and the steps of kick, snare, hats and bass.
STYLES = {
    "kick and snare": (16, 4, (0, 8), (4, 12), range(0, 16, 2), ()),
    "four on the floor": (16, 4, (0, 4, 8, 12), (4, 12), range(2, 16, 4), ()),
    "house": (16, 4, (0, 4, 8, 12), (4, 12), range(2, 16, 4), range(2, 16, 4)),
    "sixteenths": (16, 4, (0, 4, 8, 12), (), range(16), ()),
    "kick only": (16, 4, (0, 4, 8, 12), (), (), ()),
    "breakbeat": (16, 4, (0, 2, 10, 11), (4, 12), range(0, 16, 2), ()),
    "half-time": (16, 4, (0,), (8,), range(0, 16, 2), ()),
    "two-step": (16, 4, (0, 10), (4, 12), range(2, 16, 4), (0, 3, 10)),
    "waltz": (12, 3, (0,), (4, 8), range(0, 12, 2), ()),
    "shuffle": (12, 4, (0, 6), (3, 9), (0, 2, 3, 5, 6, 8, 9, 11), ()),
    "rock": (16, 4, (0, 8, 10), (4, 12), range(0, 16, 2), range(0, 16, 2)),
    "funk": (16, 4, (0, 3, 6, 10), (4, 12), range(16), (0, 3, 6, 10, 14)),
    "dembow": (16, 4, (0, 4, 8, 12), (3, 6, 11, 14), (), ()),
}


def looped(bpm: float, style: str, bars: int = 1) -> music.Mono:
    """Return bars as one loop: sound beyond its end wraps to its start."""
    steps, beats, *places = STYLES[style]
    loop = np.zeros(round(bars * beats * 60 / bpm * music.RATE), np.float32)
    step = 60 / bpm * beats / steps * music.RATE
    bass = np.float32(0.6) * music.tone(33, 0.22)
    sounds = (music.kick(), music.snare(), music.hat(), bass)
    for sound, on in zip(sounds, places, strict=True):
        for place in (steps * bar + place for bar in range(bars) for place in on):
            at = round(place * step) + np.arange(len(sound))
            np.add.at(loop, at % len(loop), sound)
    return loop


def told(song: music.Mono) -> float:
    listener = RhythmListener()
    listener.add(song)
    return listener.result().bpm


def is_octave(told: float, bpm: float, tolerance: float) -> bool:
    return min(abs(told / bpm / octave - 1) for octave in (0.5, 1, 2)) < tolerance


@pytest.mark.parametrize("bars", [1, 2])
@pytest.mark.parametrize("style", STYLES)
def test_a_loop_has_its_tempo_or_an_octave_of_it(style: str, bars: int) -> None:
    for bpm in (70, 80, 90, 100, 110, 120, 128, 140, 150, 160, 174, 180):
        bpm_told = told(looped(bpm, style, bars))
        assert is_octave(bpm_told, bpm, 1e-4), (bpm, bpm_told)


@pytest.mark.parametrize("bpm", [60, 62, 185, 200])
@pytest.mark.parametrize("style", ["kick and snare", "four on the floor", "sixteenths"])
def test_slow_and_fast_loops_have_their_tempo(bpm: float, style: str) -> None:
    assert is_octave(told(looped(bpm, style)), bpm, 1e-4)


def test_a_loop_has_as_many_beats_as_its_length_says_and_a_grid() -> None:
    listener = RhythmListener()
    listener.add(looped(128, "four on the floor"))
    found = listener.result()
    assert found.bpm == pytest.approx(128, abs=0.005)
    assert found.beats == pytest.approx([0, 60 / 128, 120 / 128, 180 / 128], abs=0.01)
    assert found.grid is not None
    assert found.grid.bpm == found.bpm
    assert found.grid.first_beat_seconds == pytest.approx(0, abs=0.01)
    assert set(found.downbeats) <= set(found.beats)
    assert 0.8 < found.bpm_confidence <= 1
    assert found.reason is None


@pytest.mark.parametrize("style", ["house", "breakbeat", "waltz", "half-time"])
@pytest.mark.parametrize("bpm", [90, 174])
def test_an_mp3_of_a_loop_has_its_tempo(style: str, bpm: float, tmp_path: Path) -> None:
    """The encoder's padding is removed."""
    path = tmp_path / "loop.mp3"
    wave = soxr.resample(looped(bpm, style), music.RATE, 44_100)
    media.write_wave(path, np.stack([wave, wave]) * np.float32(0.6), 44_100, "mp3")
    found = heard(path, SongListener, Event()).finish()
    assert is_octave(found.rhythm.bpm, bpm, 1e-4)


@pytest.mark.parametrize("bpm", [97.0, 112.0, 128.0, 140.0])
@pytest.mark.parametrize("seconds", [2.3, 2.8, 3.4, 4.5, 6.1])
@pytest.mark.parametrize("kind", [music.clicks, music.drums])
def test_a_short_piece_that_is_no_loop_is_counted_by_its_beats(
    bpm: float, seconds: float, kind: Callable[[float], music.Mono]
) -> None:
    start = music.RATE // 3
    piece = kind(bpm)[start : start + int(seconds * music.RATE)]
    assert is_octave(told(piece), bpm, 0.012)


@pytest.mark.parametrize("colour", [0, 1, 2], ids=["white", "pink", "brown"])
def test_noise_is_noise_and_music_is_none(colour: int) -> None:
    for seconds in (1, 2, 5, 10):
        for seed in range(5):
            assert loops.is_noise(music.noise(seconds, seed, colour))
    hiss = np.float32(0.1) * music.noise(4, 0, colour)
    for style in STYLES:
        loop = looped(120, style)
        assert not loops.is_noise(loop)
        assert not loops.is_noise(loop + hiss[: len(loop)])
    assert not loops.is_noise(music.cadence(0, False))


@pytest.mark.parametrize("bpm", [93.0, 118.0, 123.0, 127.0])
@pytest.mark.parametrize("seconds", [4.0, 6.0, 7.9])
def test_a_piece_of_a_song_keeps_its_own_tempo(bpm: float, seconds: float) -> None:
    """Its length is nearly a whole number of beats."""
    drums = music.drums(bpm, seconds=15)
    first = round(1.3 * music.RATE)
    piece = drums[first : first + round(seconds * music.RATE)]
    speeds = told(piece) / bpm * np.array([1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 3])
    assert np.abs(speeds - 1).min() < 0.004


def test_a_clear_beat_is_no_noise_however_much_of_that_is_around_it() -> None:
    """Where channels cancel, mostly distortion remains."""
    drums = music.drums(130.0, seconds=12)
    loud = np.clip(drums * 8 + music.noise(12.0, 1, 0)[: len(drums)], -0.3, 0.3)
    assert told(np.asarray(loud, np.float32)) == pytest.approx(130, abs=0.1)
