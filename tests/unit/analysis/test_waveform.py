"""Waveforms, compared with plain loops over all samples."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft

from serve_app.analysis import waveform
from serve_app.analysis.waveform import (
    BANDS,
    PeaksListener,
    Pixels,
    Span,
    Waveform,
    WaveformListener,
    samples_per_kept_pixel,
)

RATE = 44_100
Stereo = NDArray[np.float32]
ODD_BLOCKS = (1, 7, 0, 1_152, 10_007, 441, 70_001)


def noise(samples: int, level: float = 0.2) -> Stereo:
    wave = np.random.default_rng(5).standard_normal((2, samples)) * level
    return wave.astype(np.float32)


def sine(hertz: float, seconds: float, rate: int = RATE) -> Stereo:
    turns = hertz * np.arange(round(seconds * rate)) / rate
    return np.tile(0.5 * np.sin(2 * np.pi * turns), (2, 1)).astype(np.float32)


def heard(song: Stereo, rate: int = RATE, sizes: Sequence[int] = (65_536,)) -> Waveform:
    listener = WaveformListener(rate)
    for block in blocks(song, sizes):
        listener.add(block)
    return listener.end()


def exact(song: Stereo, span: Span, sizes: Sequence[int] = (65_536,)) -> Pixels:
    listener = PeaksListener(span, RATE)
    for block in blocks(song, sizes):
        listener.add(block)
    return listener.end()


def blocks(song: Stereo, sizes: Sequence[int]) -> list[Stereo]:
    found, start, count = [], 0, 0
    while start < song.shape[1]:
        size = sizes[count % len(sizes)]
        found.append(song[:, start : start + size])
        start, count = start + size, count + 1
    return found


def naive(song: Stereo, span: Span) -> NDArray[np.float32]:
    """Return the lowest and highest samples of the mean of the channels, one by one."""
    mono = song.mean(axis=0, dtype=np.float32)
    found = np.zeros((span.pixels, 2), np.float32)
    for pixel in range(span.pixels):
        start = span.first + pixel * span.samples_per_pixel
        part = mono[start : min(start + span.samples_per_pixel, span.end)]
        if len(part):
            found[pixel] = part.min(), part.max()
    return found


@pytest.mark.parametrize("length", [2, 22, 441, 1_000, 99_999])
@pytest.mark.parametrize(
    ("first", "end"), [(0, 100_000), (12_345, 80_001), (90_000, 150_000)]
)
def test_exact_peaks_are_those_of_a_plain_loop(
    length: int, first: int, end: int
) -> None:
    song, span = noise(100_000), Span(first, end, length)
    for sizes in (ODD_BLOCKS, (100_000,)):
        found = exact(song, span, sizes)
        np.testing.assert_array_equal(found.values[:, 0], naive(song, span))


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 300])
def test_multiples_of_the_kept_pixel_are_exact_to_16_bits(factor: int) -> None:
    song = noise(100_000)
    kept = heard(song, sizes=ODD_BLOCKS)
    length = kept.samples_per_pixel * factor
    for span in (Span(0, 100_000, length), Span(length, 2 * length, length)):
        assert kept.is_exact(span)
        wanted = np.rint(naive(song, span) * 32_768).clip(-32_768, 32_767)
        np.testing.assert_array_equal(kept.pixels(span).values[:, 0] * 32_768, wanted)


def test_pixels_that_the_kept_ones_do_not_make_up_are_not_said_to_be_exact() -> None:
    kept = heard(noise(100_000))
    length = kept.samples_per_pixel
    assert kept.is_exact(Span(0, 100_000, length))
    assert not kept.is_exact(Span(1, 100_000, length))
    assert not kept.is_exact(Span(0, 100_000, length + 1))
    assert not kept.is_exact(Span(0, length + 1, length))


def test_pcm_of_16_bits_comes_back_to_the_last_bit() -> None:
    values = np.random.default_rng(1).integers(-32_768, 32_768, 50_000)
    song = np.tile(values / np.float32(32_768), (2, 1)).astype(np.float32)
    found = heard(song).peaks
    padded = np.pad(values, (0, -len(values) % 147), mode="edge").reshape(-1, 147)
    np.testing.assert_array_equal(found[:, 0], padded.min(axis=1))
    np.testing.assert_array_equal(found[:, 1], padded.max(axis=1))


@pytest.mark.parametrize("length", [100, 441, 588, 1_000, 4_096])
def test_other_pixels_miss_no_peak_and_borrow_none_from_farther_than_one(
    length: int,
) -> None:
    song = noise(100_000)
    kept = heard(song)
    span = Span(5_000, 95_000, length)
    found = kept.pixels(span).values[:, 0]
    half_a_bit = 0.5 / 32_768
    own = naive(song, span)
    assert (found[:, 0] <= own[:, 0] + half_a_bit).all()
    assert (found[:, 1] >= own[:, 1] - half_a_bit).all()
    mono = song.mean(axis=0, dtype=np.float32)
    for pixel in range(span.pixels):
        start = 5_000 + pixel * length - kept.samples_per_pixel
        around = mono[start : start + length + 2 * kept.samples_per_pixel]
        assert found[pixel, 0] >= around.min() - half_a_bit
        assert found[pixel, 1] <= around.max() + half_a_bit


@pytest.mark.parametrize(
    ("rate", "per_second"),
    [(44_100, 300), (48_000, 300), (22_050, 150), (32_000, 200), (192_000, 300)],
)
def test_common_zooms_are_whole_numbers_of_kept_pixels(
    rate: int, per_second: int
) -> None:
    kept = samples_per_kept_pixel(rate)
    assert rate / kept == per_second
    for zoom in (10, 25, 50, 75, 100, 150):
        is_divisor = per_second % zoom == 0
        assert (rate // zoom % kept == 0) == is_divisor
    assert samples_per_kept_pixel(100) == 1


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    ("hertz", "band"), [(60, 0), (100, 0), (600, 1), (1_000, 1), (3_900, 2)]
)
def test_a_sine_is_in_its_band_only(hertz: float, band: int, rate: int) -> None:
    song = sine(hertz, 1.5, rate)
    found = heard(song, rate, ODD_BLOCKS).pixels(Span(0, song.shape[1], rate // 75), 3)
    levels = found.values[5:-5, :, 1]
    # Its own band is accurate and steady to 2 dB, the others are 25 dB below.
    assert levels[:, band].min() > 0.5 * 0.8
    assert levels[:, band].max() < 0.5 * 1.25
    assert np.delete(levels, band, axis=1).max() < 0.5 * 0.056


def test_a_high_sine_is_in_the_high_band_only() -> None:
    levels = heard(sine(8_000, 1.0)).pixels(Span(0, RATE, 588), 3).values[2:-2, :, 1]
    assert levels[:, 2].min() > 0.45
    assert levels[:, :2].max() < 0.005


@pytest.mark.parametrize("hertz", [45, 50, 60, 80])
def test_a_steady_bass_note_has_a_steady_band(hertz: float) -> None:
    levels = heard(sine(hertz, 1.0)).pixels(Span(0, RATE, 294), 3).values[10:-10, 0, 1]
    # Within 2 dB: single spectra of 12 ms fluctuate by 4 dB and more.
    assert levels.max() / levels.min() < 1.25


def test_bands_are_where_the_sound_is() -> None:
    song = np.concatenate([np.zeros((2, RATE), np.float32), sine(8_000, 1.0)], axis=1)
    levels = heard(song, sizes=ODD_BLOCKS).pixels(Span(0, 2 * RATE, 441), 3).values
    high = levels[:, 2, 1]
    assert high[:98].max() == 0
    assert high[102:198].min() > 0.45


def test_bands_do_not_depend_on_the_blocks() -> None:
    song = noise(50_000)
    found = heard(song, sizes=ODD_BLOCKS).bands.astype(int)
    np.testing.assert_allclose(found, heard(song).bands, atol=1)


def test_long_songs_are_kept_in_fewer_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waveform, "MOST_PIXELS", 200)
    song = noise(147 * 200 * 5)
    kept = heard(song, sizes=ODD_BLOCKS)
    assert kept.samples_per_pixel == 147 * 8
    assert len(kept.peaks) == 125
    assert len(kept.bands) == 63
    span = Span(0, song.shape[1], kept.samples_per_pixel)
    wanted = np.rint(naive(song, span) * 32_768).clip(-32_768, 32_767)
    np.testing.assert_array_equal(kept.peaks, wanted)


@pytest.mark.parametrize("samples", [0, 1, 2, 146, 147, 148, 294, 295, 8_820])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e30])
def test_short_silent_and_overdriven_songs_have_waveforms(
    samples: int, value: float
) -> None:
    kept = heard(np.full((2, samples), value, np.float32))
    assert kept.peaks.shape == (-(-samples // 147), 2)
    assert kept.bands.shape == (-(-samples // 294), 3)
    assert (kept.peaks == np.clip(value * 32_768, -32_768, 32_767)).all()
    if value == 0:
        assert not kept.bands.any()
    after = Span(0, samples + 1_000, 100)
    for bands in (1, 3):
        values = kept.pixels(after, bands).values
        assert len(values) == after.pixels
        assert np.isfinite(values).all()
        assert not values[samples // 100 + 4 :].any()


def test_pixels_do_not_depend_on_how_many_are_made_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = heard(noise(100_000))
    spans = [Span(0, 100_000, 441), Span(777, 120_000, 1_000)]
    whole = [kept.pixels(span, bands).values for span in spans for bands in (1, 3)]
    monkeypatch.setattr(waveform, "_PIECE_PIXELS", 7)
    pieces = [kept.pixels(span, bands).values for span in spans for bands in (1, 3)]
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stored_waveform_is_the_same_again() -> None:
    kept = heard(noise(100_000))
    stored = kept.to_bytes()
    again = Waveform.from_bytes(stored)
    np.testing.assert_array_equal(again.peaks, kept.peaks)
    np.testing.assert_array_equal(again.bands, kept.bands)
    assert (again.sample_rate, again.samples) == (RATE, 100_000)
    assert again.samples_per_pixel == kept.samples_per_pixel


def test_a_song_takes_a_few_hundred_kilobytes() -> None:
    assert len(heard(noise(30 * RATE)).to_bytes()) * 7 < 400_000


def test_a_waveform_of_another_version_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = heard(noise(1_000)).to_bytes()
    monkeypatch.setattr(waveform, "_VERSION", 2)
    with pytest.raises(ValueError, match="version must be 2, got 1"):
        Waveform.from_bytes(stored)


def test_a_waveform_costs_about_one_fourier_transform_of_the_song() -> None:
    song = noise(20 * RATE)
    frames = song[0, : 1_700 * 512].reshape(-1, 512)

    def seconds(work: object) -> float:
        started = time.thread_time()
        assert callable(work)
        work()
        return time.thread_time() - started

    # Frames of twice a pixel's samples, three times over: 60 ms for 3:30 of 44.1 kHz.
    reference = min(seconds(lambda: fft.rfft(frames, axis=1)) for _ in range(5))
    ours = min(seconds(lambda: heard(song)) for _ in range(5))
    assert ours < 12 * reference, f"{ours / reference:.1f} times"
    assert len(BANDS) == 3
