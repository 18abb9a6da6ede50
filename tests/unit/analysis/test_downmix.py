"""Sounds that cancel between the channels are kept."""

from collections.abc import Iterable

import numpy as np
import pytest

from serve_app.analysis import key
from serve_app.analysis.downmix import SAMPLE_RATE, Downmix
from serve_app.analysis.rhythm import RhythmListener
from tests.unit.analysis import music
from tests.unit.analysis.music import RATE, Mono

SONG = np.tile(music.cadence(2, True), 3)
BPM = 60 / music.CHORD_SECONDS
DRUMS = music.drums(BPM, seconds=len(SONG) / RATE)[: len(SONG)]
SONG = SONG[: len(DRUMS)] * np.float32(0.3) + DRUMS
NOISE = np.random.default_rng(4).standard_normal((2, len(SONG))).astype(np.float32)


def mixed(blocks: Iterable[Mono], rate: int) -> Mono:
    """Return the whole downmix of a song's blocks."""
    downmix = Downmix(rate)
    pieces = [*map(downmix.add, blocks), downmix.end()]
    return np.concatenate(pieces)


def bpm(mono: Mono) -> float:
    """Return the estimated tempo."""
    listener = RhythmListener()
    listener.add(mono)
    return listener.result().bpm


def heard(left: Mono, right: Mono) -> Mono:
    """Return the downmix of two channels, block by block."""
    stereo = np.stack([left, right]).astype(np.float32)
    blocks = (stereo[:, at : at + 65_536] for at in range(0, len(left), 65_536))
    return mixed(blocks, RATE)


def low(wave: Mono, hertz: float) -> Mono:
    """Return the samples without frequencies above a limit."""
    bins = np.fft.rfft(wave)
    bins[np.fft.rfftfreq(len(wave), 1 / RATE) > hertz] = 0
    return np.fft.irfft(bins, n=len(wave)).astype(np.float32)


def off_db(found: Mono, expected: Mono) -> float:
    """Return the level of the error relative to the expected signal."""
    error = np.square(found - expected, dtype=np.float64).mean()
    return float(10 * np.log10(np.square(expected).mean() / max(error, 1e-30)))


@pytest.mark.parametrize(("likeness", "least_db"), [(1.0, 100), (0.999, 80), (0.9, 40)])
def test_a_song_out_of_phase_is_heard_as_its_left_channel(
    likeness: float, least_db: float
) -> None:
    found = heard(SONG, np.float32(-likeness) * SONG)
    assert off_db(found, heard(SONG, SONG)) > least_db


@pytest.mark.parametrize("offset", [0.01, -0.3])
def test_an_offset_makes_no_difference(offset: float) -> None:
    found = heard(SONG + np.float32(offset), np.float32(offset) - SONG)
    expected = heard(SONG, SONG)
    assert bpm(found) == pytest.approx(bpm(expected), rel=1e-3)
    assert key.find(found).name == key.find(expected).name == "D minor"


WIDE = {
    "mono": (SONG, SONG),
    "left only": (SONG, 0 * SONG),
    "right only": (0 * SONG, SONG),
    "nothing in common": (NOISE[0], NOISE[1]),
    "with a wide part": (SONG + 0.5 * NOISE[0], SONG + 0.5 * NOISE[1]),
    "a quieter left": (0.1 * SONG, SONG),
    "the difference 6 dB over the sum": (
        NOISE[0] + 2 * NOISE[1],
        NOISE[0] - 2 * NOISE[1],
    ),
    "faint hiss out of phase": (SONG + 1e-4 * NOISE[0], SONG - 1e-4 * NOISE[0]),
}


@pytest.mark.parametrize("channels", WIDE.values(), ids=WIDE)
def test_a_song_that_is_only_wide_is_half_the_sum_to_the_last_bit(
    channels: tuple[Mono, Mono],
) -> None:
    left, right = (np.asarray(channel, np.float32) for channel in channels)
    plain = np.stack([left, right]).mean(axis=0, dtype=np.float32)
    np.testing.assert_array_equal(heard(left, right), heard(plain, plain))


@pytest.mark.parametrize("hertz", [90.0, 200.0, 1_000.0])
def test_what_is_out_of_phase_in_the_bass_only_is_heard(hertz: float) -> None:
    bass = low(SONG, hertz)
    found = heard(SONG, SONG - 2 * bass)
    lost = SONG - bass
    expected = heard(SONG, SONG)
    assert off_db(found, expected) > off_db(lost, expected) + 5
    assert bpm(found) == pytest.approx(bpm(expected), rel=2e-3)
    assert key.find(found).name == key.find(expected).name


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_song_may_turn_out_of_phase_on_its_way(share: float) -> None:
    turn = int(share * len(SONG))
    right = np.concatenate([SONG[:turn], -SONG[turn:]])
    found, expected = heard(SONG, right), heard(SONG, SONG)
    near = slice(max(turn - 2 * RATE, 0), turn + 2 * RATE)
    found[near] = expected[near]
    assert off_db(found, expected) > 60
    assert bpm(heard(SONG, right)) == pytest.approx(BPM, rel=0.002)
    assert key.find(heard(SONG, right)).name == "D minor"


def test_it_goes_over_by_degrees() -> None:
    """A little more cancellation adds only a little more of the side."""
    levels = []
    for likeness in np.linspace(0.3, 0.8, 101):
        found = heard(SONG, np.float32(-likeness) * SONG)
        levels.append(float(np.sqrt(np.square(found).mean())))
    steps = np.abs(np.diff(levels))
    assert steps.max() < 0.12 * max(levels)
    assert levels[-1] == pytest.approx(float(np.sqrt(np.square(SONG).mean())), rel=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 2, 16_383, 16_384, 16_385, 32_769])
def test_songs_of_any_length_are_heard(samples: int) -> None:
    song = SONG[5_000 : 5_000 + samples]
    found = heard(song, -song)
    np.testing.assert_allclose(found, heard(song, song), rtol=0, atol=1e-6)
    assert (len(found), found.dtype) == (samples, np.float32)


def stereo(seconds: float, rate: int) -> Mono:
    """440 Hz on the left, twice as loud as on the right."""
    time = np.arange(int(seconds * rate), dtype=np.float32) / rate
    tone = np.sin(2 * np.pi * 440 * time)
    return np.stack([tone, tone / 2]).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_every_rate_gives_the_same_tone(rate: int) -> None:
    found = mixed([stereo(2.0, rate)], rate)
    time = np.arange(len(found)) / SAMPLE_RATE
    expected = 0.75 * np.sin(2 * np.pi * 440 * time)
    inside = slice(SAMPLE_RATE // 10, -SAMPLE_RATE // 10)
    assert len(found) == pytest.approx(2 * SAMPLE_RATE, abs=2)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("size", [1, 1_000, 65_536])
def test_the_cut_into_blocks_does_not_matter(size: int) -> None:
    song = stereo(0.2 if size == 1 else 3.0, 44_100)
    song[1, 60_000:] *= -2
    cut = (song[:, at : at + size] for at in range(0, song.shape[1], size))
    np.testing.assert_allclose(mixed(cut, 44_100), mixed([song], 44_100), atol=1e-6)


def test_no_blocks_give_no_samples() -> None:
    assert mixed([], 44_100).shape == (0,)
