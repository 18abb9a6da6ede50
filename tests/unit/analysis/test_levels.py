import json

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.analysis.levels import Levels, LevelsListener

RATE = 44_100
FULL = np.float32(32_767 / 32_768)

Samples = NDArray[np.float32]


def levels(
    song: Samples, sample_rate: int = RATE, block_samples: int = 65_536
) -> Levels:
    listener = LevelsListener(sample_rate)
    for start in range(0, song.shape[1], block_samples):
        listener.add(song[:, start : start + block_samples])
    return listener.result()


def sine(seconds: float, amplitude: float = 0.5) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    wave = amplitude * np.sin(2 * np.pi * 441 * time)
    return np.tile(wave.astype(np.float32), (2, 1))


def noise(seconds: float, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    wave = generator.standard_normal((2, round(seconds * RATE)), np.float32)
    return np.float32(0.1) * wave


def silence(seconds: float) -> Samples:
    return np.zeros((2, round(seconds * RATE)), np.float32)


def test_silence_at_both_ends_is_told_to_ten_milliseconds() -> None:
    song = np.concatenate([silence(1.5), noise(2), silence(0.73)], axis=1)
    found = levels(song)
    assert found.silence_start_seconds == pytest.approx(1.5, abs=0.011)
    assert found.silence_end_seconds == pytest.approx(0.73, abs=0.011)


def test_what_is_below_minus_60_is_silence_and_what_is_above_is_none() -> None:
    def song(dbfs: float) -> Samples:
        quiet = sine(1, np.sqrt(2) * 10 ** (dbfs / 20))
        return np.concatenate([quiet, sine(1), quiet], axis=1)

    assert levels(song(-61)).silence_start_seconds == pytest.approx(1, abs=0.011)
    assert levels(song(-61)).silence_end_seconds == pytest.approx(1, abs=0.011)
    assert levels(song(-59)).silence_start_seconds == 0
    assert levels(song(-59)).silence_end_seconds == 0


def test_a_silent_song_is_silence_from_either_end() -> None:
    found = levels(silence(2.005))
    assert found.silence_start_seconds == pytest.approx(2.005, abs=1e-4)
    assert found.silence_end_seconds == pytest.approx(2.005, abs=1e-4)


def test_a_sound_in_the_last_milliseconds_ends_silence() -> None:
    found = levels(np.concatenate([silence(1), noise(0.003)], axis=1))
    assert found.silence_start_seconds == pytest.approx(1)
    assert found.silence_end_seconds == 0


@pytest.mark.parametrize("level", [FULL, -1.0, 1.3])
def test_three_samples_at_full_scale_are_clipped_and_two_are_not(level: float) -> None:
    song = sine(2)
    song[0, 10_000:10_002] = level
    song[0, 30_000:30_003] = level
    song[1, 50_000:50_007] = level
    found = levels(song)
    assert found.clipping_count == 2
    assert found.clipped_samples == 3 + 7
    assert found.clipping_seconds == pytest.approx((30_000 / RATE, 50_000 / RATE))


def test_music_right_below_full_scale_is_not_clipped() -> None:
    song = np.clip(sine(1, 4.0), -0.9999, 0.9999)
    assert levels(song).clipping_count == 0


def test_only_the_first_ten_clipped_places_are_told() -> None:
    song = silence(2)
    for start in range(0, 40_000, 1_000):
        song[:, start : start + 5] = FULL
    found = levels(song)
    assert found.clipping_count == 80
    assert found.clipping_seconds == pytest.approx(
        [n * 1_000 / RATE for n in range(10)]
    )


def test_a_song_of_floats_tells_how_far_it_is_over_full_scale() -> None:
    assert levels(sine(1, 2.0)).peak_dbfs == pytest.approx(6.02, abs=0.01)


def test_dc_offset_is_that_of_each_channel() -> None:
    song = sine(1) + np.array([[0.01], [-0.02]], np.float32)
    assert levels(song).dc_offset == pytest.approx((0.01, -0.02), abs=1e-6)


def test_rms_peak_and_crest_of_a_sine() -> None:
    found = levels(sine(1, 1.0))
    assert found.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert found.peak_dbfs == pytest.approx(0, abs=0.01)
    assert found.crest_db == pytest.approx(3.01, abs=0.01)


def test_equal_channels_lose_nothing_in_mono() -> None:
    found = levels(np.tile(noise(1)[:1], (2, 1)))
    assert found.correlation == pytest.approx(1)
    assert found.mono_loss_db == pytest.approx(0, abs=1e-6)
    assert found.side_share == pytest.approx(0, abs=1e-12)
    assert str(found.to_dict()["mono_loss_db"]) == "0.0"


def test_channels_with_nothing_in_common_lose_three_decibels() -> None:
    found = levels(noise(5))
    assert found.correlation == pytest.approx(0, abs=0.01)
    assert found.mono_loss_db == pytest.approx(3.01, abs=0.05)
    assert found.side_share == pytest.approx(0.5, abs=0.01)


def test_opposite_channels_lose_all_and_it_is_still_a_number() -> None:
    found = levels(noise(1)[:1] * np.array([[1], [-1]], np.float32))
    assert found.correlation == pytest.approx(-1)
    assert found.mono_loss_db == 100
    assert found.side_share == pytest.approx(1)


def test_one_silent_channel_has_no_correlation() -> None:
    song = noise(1)
    song[1] = 0
    found = levels(song)
    assert found.correlation is None
    assert found.mono_loss_db == pytest.approx(3.01, abs=0.01)


def test_energy_is_told_for_every_second_and_for_the_rest() -> None:
    song = np.concatenate([sine(1, 1.0), silence(1), sine(1, 0.1), sine(0.5, 1.0)], 1)
    first, second, third, rest = levels(song).energy_dbfs
    assert levels(song[:, : 3 * RATE]).energy_dbfs == (first, second, third)
    assert first == pytest.approx(-3.01, abs=0.01)
    assert second is None
    assert third == pytest.approx(-23.01, abs=0.01)
    assert rest == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("sample_rate", [11_025, 44_100])
def test_blocks_of_any_size_say_the_same(sample_rate: int) -> None:
    song = np.clip(np.float32(8) * noise(3), -1, 1)
    song[:, :3_000] = 0
    expected = levels(song, sample_rate)
    listener = LevelsListener(sample_rate)
    ends = np.random.default_rng(1).integers(0, song.shape[1], 500)
    # Also split blocks inside clipped runs.
    ends = np.sort([*ends, 0, 0, *(np.flatnonzero(np.abs(song[0]) == 1)[:200] + 1)])
    for block in np.split(song, ends, axis=1):
        listener.add(block)
    assert listener.result().to_dict() == expected.to_dict()
    assert expected.clipping_count > 0


@pytest.mark.parametrize("samples", [0, 1, 100, 2 * RATE])
@pytest.mark.parametrize("level", [0.0, 1e-30, 1.0])
def test_every_song_has_levels_that_json_can_hold(samples: int, level: float) -> None:
    song = np.full((2, samples), level, np.float32)
    found = levels(song).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["peak_dbfs"] is None) == (level == 0 or samples == 0)
