"""Plain beats from 60 to 180 are told within 1 %; all else gets a usable number."""

import numpy as np
import pytest

from serve_app.analysis import tempo
from tests.unit.analysis import music

# The first time on a machine, numba compiles what librosa is made of.
pytestmark = pytest.mark.timeout(400)

TEMPI = (60, 72.5, 84, 97.3, 112, 128, 146, 163, 180)


@pytest.mark.parametrize("bpm", TEMPI)
def test_clicks_are_counted(bpm: float) -> None:
    assert tempo.bpm(music.clicks(bpm)) == pytest.approx(bpm, rel=0.002)


@pytest.mark.parametrize("bpm", TEMPI)
@pytest.mark.parametrize("hats_per_beat", [2, 4])
def test_drums_are_counted_by_kick_and_snare(bpm: float, hats_per_beat: int) -> None:
    drums = music.drums(bpm, hats_per_beat=hats_per_beat)
    assert tempo.bpm(drums) == pytest.approx(bpm, rel=0.01)


def test_drums_are_counted_through_noise() -> None:
    drums = music.drums(128.0)
    noise = np.random.default_rng(0).standard_normal(len(drums)).astype(np.float32)
    assert tempo.bpm(drums + np.float32(0.05) * noise) == pytest.approx(
        128.0, rel=0.002
    )


@pytest.mark.parametrize("hertz", [200.0, 5_000.0])
def test_clicks_of_any_pitch_are_counted(hertz: float) -> None:
    clicks = music.clicks(97.3, hertz=hertz)
    assert tempo.bpm(clicks) == pytest.approx(97.3, rel=0.002)


def test_loudness_does_not_matter() -> None:
    drums = music.drums(112.0)
    assert tempo.bpm(np.float32(1e-4) * drums) == pytest.approx(
        tempo.bpm(drums), rel=1e-3
    )


def test_a_break_does_not_bend_the_tempo() -> None:
    beats = [music.drums(128.0), np.zeros(7 * music.RATE, np.float32)]
    song = np.concatenate([*beats, music.drums(128.0)])
    assert tempo.bpm(song) == pytest.approx(128.0, rel=0.002)


@pytest.mark.parametrize(
    "song",
    [
        np.zeros(0, np.float32),
        np.full(1, 0.5, np.float32),
        np.zeros(5 * music.RATE, np.float32),
        np.ones(5 * music.RATE, np.float32),
        music.clicks(90, seconds=0.9),
    ],
    ids=["nothing", "one sample", "silence", "offset", "less than a second"],
)
def test_what_has_no_pulse_is_120(song: music.Mono) -> None:
    assert tempo.bpm(song) == tempo.DEFAULT_BPM == 120.0


@pytest.mark.parametrize("seconds", [1.0, 1.5, 3.0, 10.0])
def test_noise_gets_a_tempo_within_the_range(seconds: float) -> None:
    samples = int(seconds * music.RATE)
    noise = np.random.default_rng(3).standard_normal(samples).astype(np.float32)
    assert tempo.SLOWEST_BPM <= tempo.bpm(noise) <= tempo.FASTEST_BPM


PATTERNS = {
    "kick and snare": ((0, 8), (4, 12), range(0, 16, 2)),
    "four on the floor": ((0, 4, 8, 12), (4, 12), range(2, 16, 4)),
    "sixteenths": ((0, 4, 8, 12), (), range(16)),
    "kick only": ((0, 4, 8, 12), (), ()),
    "break": ((0, 2, 10, 11), (4, 12), range(0, 16, 2)),
}


def looped(bpm: float, pattern: str, bars: int = 1) -> music.Mono:
    """Make bars of four beats as one loop: what rings over its end is at its start."""
    length = round(bars * 4 * 60 / bpm * music.RATE)
    loop = np.zeros(length, np.float32)
    step = 60 / bpm / 4 * music.RATE
    sounds = (music.kick(), music.snare(), music.hat())
    for sound, places in zip(sounds, PATTERNS[pattern], strict=True):
        for place in (16 * bar + place for bar in range(bars) for place in places):
            at = round(place * step) + np.arange(len(sound))
            np.add.at(loop, at % length, sound)
    return loop


@pytest.mark.parametrize("bars", [1, 2])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bpm", [62, 90, 110, 128, 140, 150, 160, 174, 185, 200])
def test_a_loop_has_its_tempo_or_an_octave_of_it(
    bpm: float, pattern: str, bars: int
) -> None:
    found = tempo.bpm(looped(bpm, pattern, bars))
    assert 40 <= found <= 240
    assert min(abs(found / (bpm * octave) - 1) for octave in (0.5, 1, 2)) < 0.01


@pytest.mark.parametrize("bpm", [236, 238, 240, 242, 245])
@pytest.mark.parametrize("seconds", [6.0, 20.0])
def test_no_tempo_is_over_the_fastest(bpm: float, seconds: float) -> None:
    found = tempo.bpm(music.clicks(bpm, seconds))
    assert tempo.SLOWEST_BPM <= found <= tempo.FASTEST_BPM


@pytest.mark.parametrize("bpm", [112.0, 128.0])
@pytest.mark.parametrize("seconds", [2.3, 2.8, 3.4])
def test_a_short_piece_that_is_no_loop_is_counted_by_its_beats(
    bpm: float, seconds: float
) -> None:
    start = music.RATE // 3
    piece = music.clicks(bpm)[start : start + int(seconds * music.RATE)]
    found = tempo.bpm(piece)
    assert min(abs(found / (bpm * octave) - 1) for octave in (0.5, 1, 2)) < 0.04
