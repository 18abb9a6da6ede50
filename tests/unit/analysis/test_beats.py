"""Beats and bars are found in an engine's output despite its errors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.analysis import beats
from serve_app.analysis.features import (
    CHROMA_FRAMES,
    FRAMES_PER_SECOND,
    PITCH_CLASSES,
)
from serve_app.analysis.network import TEMPI_BPM, Activations

Times = NDArray[np.floating]


def activation(times: Times, seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Return an activation with peaks, some of them weak, and noise in between."""
    rng = np.random.default_rng(seed)
    frames = np.arange(int(seconds * FRAMES_PER_SECOND))
    heights = rng.uniform(0.6, 0.95, len(times))
    heard = 0.1 * rng.random(len(frames))
    for time, height in zip(times * FRAMES_PER_SECOND, heights, strict=True):
        heard = np.maximum(heard, height * np.clip(1 - np.abs(frames - time) / 2, 0, 1))
    return heard.astype(np.float32)


def unpitched(seconds: float) -> NDArray[np.float16]:
    """Return the chroma of sound without pitch."""
    frames = int(seconds * FRAMES_PER_SECOND) // CHROMA_FRAMES + 1
    return np.zeros((frames, 2 * PITCH_CLASSES), np.float16)


def activations(
    times: Times, seconds: float, meter: int = 4, tempi: Times | None = None
) -> Activations:
    """Return activations with beats at `times`; each `meter`-th begins a bar."""
    if tempi is None:
        tempi = np.full(len(TEMPI_BPM), 1 / len(TEMPI_BPM))
    return Activations(
        beats=activation(times, seconds),
        downbeats=activation(times[::meter], seconds, seed=1),
        tempi=tempi.astype(np.float32),
        chroma=unpitched(seconds),
    )


@pytest.mark.parametrize("bpm", [41, 60, 97.3, 127.95, 174, 238])
def test_every_beat_is_found_within_5_ms(bpm: float) -> None:
    times = np.arange(0.31, 59.5, 60 / bpm)
    found = beats.track(activations(times, 60)).times
    assert len(found) == len(times)
    assert np.abs(found - times).max() < 0.005


@pytest.mark.parametrize("meter", [2, 3, 4, 5, 7])
def test_bars_are_found(meter: int) -> None:
    times = np.arange(0.31, 59.5, 0.5)
    heard = activations(times, 60, meter)
    is_first, found = beats.bars(heard, beats.track(heard))
    assert found == meter
    np.testing.assert_array_equal(np.flatnonzero(is_first) % meter, 0)


def test_beats_that_are_not_heard_are_filled_in() -> None:
    times = np.arange(0.31, 59.5, 0.5)
    kept = np.delete(times, [20, 41, 42, 43, 70])
    found = beats.track(activations(kept, 60)).times
    assert len(found) == len(times)
    assert np.abs(found - times).max() < 0.04


def test_a_change_of_tempo_is_followed() -> None:
    times = np.concatenate([np.arange(0.3, 30.4, 0.6), np.arange(30.73, 59.5, 0.43)])
    found = beats.track(activations(times, 60)).times
    assert len(found) == len(times)
    assert np.abs(found - times).max() < 0.005


def test_the_engine_decides_between_octaves_that_fit_alike() -> None:
    strong, weak = np.arange(0.3, 59.5, 0.7), np.arange(0.65, 59.5, 0.7)
    both = np.maximum(activation(strong, 60), 0.8 * activation(weak, 60))
    for bpm in (60 / 0.7, 60 / 0.35):
        tempi = np.exp(-0.5 * np.square(24 * np.log2(TEMPI_BPM / bpm))) + 1e-6
        shares = (tempi / tempi.sum()).astype(np.float32)
        heard = Activations(both, both, shares, unpitched(60))
        found = beats.track(heard).times
        assert np.median(np.diff(found)) == pytest.approx(60 / bpm, rel=0.01)


def test_tempi_out_of_the_range_are_not_told() -> None:
    times = np.arange(0.3, 59.5, 0.4)
    found = beats.track(activations(times, 60), slowest=60, fastest=120).times
    assert np.median(np.diff(found)) == pytest.approx(0.8, rel=0.01)


def test_pieces_of_ten_minutes_are_joined() -> None:
    times = np.arange(0.31, 1_260, 60 / 140)
    found = beats.track(activations(times, 1_260)).times
    assert len(found) == len(times)
    assert np.abs(found - times).max() < 0.005


@pytest.mark.parametrize("frames", [0, 1, 40])
def test_little_that_is_heard_is_no_pulse(frames: int) -> None:
    nothing = np.zeros(frames, np.float32)
    tempi = np.full(len(TEMPI_BPM), 1 / len(TEMPI_BPM), np.float32)
    pulse = beats.track(Activations(nothing, nothing, tempi, unpitched(0)))
    assert len(pulse.times) == len(pulse.strengths) == 0
