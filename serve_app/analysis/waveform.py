"""A song's waveform: minimum and maximum samples and three bands, by pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

Samples = NDArray[np.float32]
Rows = NDArray[Any]
Codes = NDArray[np.uint8]
Indices = NDArray[np.intp]

# Typical crossovers of DJ software: bass drum and bass, voices, cymbals.
LOW_HZ, HIGH_HZ = 200.0, 3_000.0
BANDS = ("low", "mid", "high")

# Resolutions in order of preference; the first that divides the sample rate is used.
# At 300, waveforms at 10, 20, 25, 50, 75, 100 and 150 pixels a second are exact.
_PIXELS_PER_SECOND = (300, 200, 150)
_PIXELS_PER_BAND_PIXEL = 2
# 75 minutes at 300 pixels a second. Longer songs have half that rate, a quarter and so
# on: 10 hours have 37.5.
MOST_PIXELS = 1_350_000

_PIECE_SAMPLES = _PIECE_PIXELS = 65_536
_FULL_SCALE = 32_768
_LOUDEST = 16.0
_VERSION = 1
# Low-band power is averaged over this much, as it pulsates twice per period of a note.
_LOW_SECONDS = 0.04


@dataclass(frozen=True)
class Span:
    """The samples of a song from `first` up to `end`, exclusive, divided into pixels.

    Each pixel has `samples_per_pixel` samples; the last one may be shorter.
    """

    first: int
    end: int
    samples_per_pixel: int

    @property
    def pixels(self) -> int:
        return -(-(self.end - self.first) // self.samples_per_pixel)


@dataclass(frozen=True)
class Pixels:
    """A waveform to draw: `values` (pixels, channels, 2) are minima and maxima.

    Full scale is 1. A single channel is the mean of the song's channels; three are its
    bands, low to high, as amplitudes below and above 0.
    """

    values: Samples
    samples_per_pixel: int
    sample_rate: int

    @property
    def channels(self) -> int:
        return int(self.values.shape[1])


@dataclass(frozen=True)
class Waveform:
    """The waveform of a song at its stored resolution, from which others are computed.

    `peaks` (n, 2) are the lowest and highest 16-bit samples of the channels' mean for
    every `samples_per_pixel` samples. `bands` (m, 3), for twice as many samples, are
    255 times the square roots of amplitudes; a sine's amplitude is its peak.
    """

    sample_rate: int
    samples: int
    samples_per_pixel: int
    peaks: NDArray[np.int16]
    bands: Codes

    def is_exact(self, span: Span) -> bool:
        """Return whether the pixels of a span are exact to 16 bits.

        If not, a peak may come from up to one stored pixel before or after its own;
        `PeaksListener` finds the exact peaks from the song.
        """
        kept = self.samples_per_pixel
        is_whole = span.end >= self.samples or span.end % kept == 0
        return is_whole and not (span.first % kept or span.samples_per_pixel % kept)

    def pixels(self, span: Span, bands: int = 1) -> Pixels:
        """Return a span's pixels, for the channels' mean or for three bands.

        Samples after the song's end are 0.
        """
        values = np.zeros((span.pixels, bands, 2), np.float32)
        # In pieces, as the intermediate arrays are larger than the pixels.
        for start in range(0, span.pixels, _PIECE_PIXELS):
            first = span.first + start * span.samples_per_pixel
            end = min(first + _PIECE_PIXELS * span.samples_per_pixel, span.end)
            piece = Span(first, end, span.samples_per_pixel)
            found = self._peaks_of(piece) if bands == 1 else self._bands_of(piece)
            values[start : start + len(found)] = found
        return Pixels(values, span.samples_per_pixel, self.sample_rate)

    def _peaks_of(self, span: Span) -> Samples:
        kept = self.samples_per_pixel
        lowest = _reduced(np.minimum, self.peaks[:, :1], kept, span)
        highest = _reduced(np.maximum, self.peaks[:, 1:], kept, span)
        values: Samples = np.stack([lowest, highest], axis=2).astype(np.float32)
        return values / np.float32(_FULL_SCALE)

    def _bands_of(self, span: Span) -> Samples:
        kept = self.samples_per_pixel * _PIXELS_PER_BAND_PIXEL
        amplitudes = _amplitudes(_reduced(np.maximum, self.bands, kept, span))
        return np.stack([-amplitudes, amplitudes], axis=2)

    def powers(self, step_seconds: float, steps: int) -> Samples:
        """Return the mean powers of the bands in each of `steps` steps, (steps, 3)."""
        powers = np.square(_amplitudes(self.bands))
        samples = _PIXELS_PER_BAND_PIXEL * self.samples_per_pixel
        ends = np.arange(steps + 1) * step_seconds * self.sample_rate / samples
        sums = np.zeros((len(powers) + 1, 3))
        np.cumsum(powers, axis=0, out=sums[1:])
        at = np.clip(np.rint(ends).astype(np.intp), 0, len(powers))
        counts = np.maximum(np.diff(at), 1)[:, None]
        return (np.diff(sums[at], axis=0) / counts).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Return the waveform's stored form: about 350 kB for 3:30, at most 8 MB."""
        facts = (_VERSION, self.sample_rate, self.samples, self.samples_per_pixel)
        file = BytesIO()
        np.savez(file, facts=np.array(facts), peaks=self.peaks, bands=self.bands)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Return the waveform from `to_bytes`; ValueError if the version differs."""
        with np.load(BytesIO(stored), allow_pickle=False) as arrays:
            version, sample_rate, samples, samples_per_pixel = arrays["facts"].tolist()
            if version != _VERSION:
                raise ValueError(
                    f"The waveform's version must be {_VERSION}, got {version}."
                )
            peaks, bands = arrays["peaks"], arrays["bands"]
        return cls(sample_rate, samples, samples_per_pixel, peaks, bands)


class WaveformListener:
    """Computes the waveform of a song from blocks (2, n) of finite samples."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._kept = samples_per_kept_pixel(sample_rate)
        self._peaks = _Track((np.minimum, np.maximum), np.int16, MOST_PIXELS)
        band_pixels = MOST_PIXELS // _PIXELS_PER_BAND_PIXEL
        self._bands = _Track((np.maximum,) * len(BANDS), np.uint8, band_pixels)
        self._spectra = _Spectra(sample_rate, self._kept * _PIXELS_PER_BAND_PIXEL)

    def add(self, block: Samples) -> None:
        """Take the next block (2, n)."""
        for samples in _mono(block):
            # So that 16-bit peaks and squares of floats don't overflow.
            mono = samples.clip(-_LOUDEST, _LOUDEST)
            first, rows = _extremes(mono, self._samples, self._kept)
            scaled = np.rint(rows * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1)
            self._peaks.put(first, scaled.astype(np.int16))
            self._bands.put(*self._spectra.add(mono))
            self._samples += len(mono)

    def end(self) -> Waveform:
        """Return the waveform of all blocks; call it once, at the end."""
        self._bands.put(*self._spectra.end())
        # Band pixels are twice as long, and their limit half: both merge equally often.
        samples_per_pixel = self._kept * self._peaks.merged
        bands = self._bands.rows().copy()
        band_seconds = samples_per_pixel * _PIXELS_PER_BAND_PIXEL / self._sample_rate
        bands[:, 0] = _smoothed(bands[:, 0], round(_LOW_SECONDS / 2 / band_seconds))
        return Waveform(
            sample_rate=self._sample_rate,
            samples=self._samples,
            samples_per_pixel=samples_per_pixel,
            peaks=self._peaks.rows().copy(),
            bands=bands,
        )


class PeaksListener:
    """Computes the exact peaks of a span of a song from blocks (2, n)."""

    def __init__(self, span: Span, sample_rate: int) -> None:
        self._span = span
        self._sample_rate = sample_rate
        self._position = 0
        self._peaks = _Track((np.minimum, np.maximum), np.float32, span.pixels)

    def add(self, block: Samples) -> None:
        """Take the next block (2, n)."""
        start = max(self._span.first - self._position, 0)
        stop = max(self._span.end - self._position, 0)
        at = self._position + start - self._span.first
        for mono in _mono(block[:, start:stop]):
            self._peaks.put(*_extremes(mono, at, self._span.samples_per_pixel))
            at += len(mono)
        self._position += block.shape[1]

    def end(self) -> Pixels:
        """Return the peaks in full precision, 0 after the song's end."""
        values = np.zeros((self._span.pixels, 1, 2), np.float32)
        rows = self._peaks.rows()
        values[: len(rows), 0] = rows
        return Pixels(values, self._span.samples_per_pixel, self._sample_rate)


def samples_per_kept_pixel(sample_rate: int) -> int:
    """Return the samples of the shortest pixel that is stored, at a sample rate."""
    for pixels_per_second in _PIXELS_PER_SECOND:
        if sample_rate % pixels_per_second == 0:
            return sample_rate // pixels_per_second
    return max(sample_rate // _PIXELS_PER_SECOND[0], 1)


class _Track:
    """Rows by pixel that grow with the song; past a limit, pairs of pixels are merged.

    Each column is merged by its own function.
    """

    def __init__(
        self, folds: tuple[np.ufunc, ...], dtype: type[np.generic], most: int
    ) -> None:
        self.merged = 1
        self._folds = folds
        self._most = most
        self._count = 0
        self._rows: Rows = np.zeros((min(most, 4_096), len(folds)), dtype)

    def put(self, first: int, rows: Rows) -> None:
        """Add the rows of pixels (n, columns), numbered before merging, from `first`.

        Calls must leave no gap; a call may repeat the last pixel of the one before.
        """
        while first + len(rows) > self._most * self.merged:
            self.merge()
        if not len(rows):
            return
        indices = np.arange(first, first + len(rows)) // self.merged
        rows = self._reduced(rows, np.flatnonzero(np.diff(indices, prepend=-1)))
        start, end = int(indices[0]), int(indices[-1]) + 1
        if end > len(self._rows):
            more = min(max(2 * len(self._rows), end), self._most) - len(self._rows)
            self._rows = np.pad(self._rows, ((0, more), (0, 0)))
        if start < self._count:
            both = np.concatenate([self._rows[start : start + 1], rows[:1]])
            rows[:1] = self._reduced(both, np.zeros(1, np.intp))
        self._rows[start:end] = rows
        self._count = end

    def merge(self) -> None:
        """Merge each pair of pixels into one."""
        starts = np.arange(0, self._count, 2)
        if len(starts):
            self._rows[: len(starts)] = self._reduced(self.rows(), starts)
        self._count = len(starts)
        self.merged *= 2

    def rows(self) -> Rows:
        """Return all pixels so far (n, columns)."""
        return self._rows[: self._count]

    def _reduced(self, rows: Rows, starts: Indices) -> Rows:
        columns = enumerate(self._folds)
        folded = [fold.reduceat(rows[:, column], starts) for column, fold in columns]
        return np.stack(folded, axis=1)


class _Spectra:
    """Measures the levels of three bands around each pixel of `hop` samples."""

    def __init__(self, sample_rate: int, hop: int) -> None:
        self._hop = hop
        size = 1 << int(np.ceil(np.log2(1.5 * hop)))
        self._window = np.hanning(size + 1)[:-1].astype(np.float32)
        self._bins = _bands_of_bins(sample_rate, self._window)
        # A window is centred on its pixel.
        self._pending = np.zeros((size - hop) // 2, np.float32)
        self._samples = self._pixels = 0

    def add(self, mono: Samples) -> tuple[int, Codes]:
        """Return the number of the first new pixel, and all new pixels."""
        self._samples += len(mono)
        return self._add(mono)

    def end(self) -> tuple[int, Codes]:
        """Return the remaining pixels."""
        first, rows = self._add(np.zeros(len(self._window), np.float32))
        return first, rows[: -(-self._samples // self._hop) - first]

    def _add(self, mono: Samples) -> tuple[int, Codes]:
        first, size = self._pixels, len(self._window)
        samples = np.concatenate([self._pending, mono])
        if len(samples) < size:
            self._pending = samples
            return first, np.zeros((0, len(BANDS)), np.uint8)
        frames = sliding_window_view(samples, size)[:: self._hop] * self._window
        self._pixels += len(frames)
        self._pending = samples[len(frames) * self._hop :]
        bins = fft.rfft(frames, axis=1)
        parts = bins.view(np.float32)
        return first, _codes(np.square(parts) @ self._bins)


def _bands_of_bins(sample_rate: int, window: Samples) -> Samples:
    """Return the weight of each squared part of a bin in the power of each band.

    A sine of amplitude 1 has the power 1 (Parseval's theorem).
    """
    size = len(window)
    weights = np.full(size // 2 + 1, 4 / (size * np.square(window).sum()))
    weights[[0, -1]] /= 2
    band = np.searchsorted([LOW_HZ, HIGH_HZ], fft.rfftfreq(size, 1 / sample_rate))
    matrix = weights[:, None] * (band[:, None] == np.arange(len(BANDS)))
    return np.repeat(matrix, 2, axis=0).astype(np.float32)


def _codes(powers: NDArray[np.floating]) -> Codes:
    # Square roots of amplitudes, for finer steps in quiet cymbals.
    scaled = np.rint(255 * np.sqrt(np.sqrt(powers)))
    codes: Codes = np.minimum(scaled, 255).astype(np.uint8)
    return codes


def _amplitudes(codes: Rows) -> Samples:
    return np.square(codes.astype(np.float32) / 255)


def _smoothed(codes: Codes, around: int) -> Codes:
    """Return a band whose power is averaged over `around` pixels on both sides."""
    if around < 1 or not len(codes):
        return codes
    window = np.hanning(2 * around + 3)[1:-1]
    within = slice(around, around + len(codes))
    powers = np.convolve(np.square(_amplitudes(codes)), window)[within]
    # At the ends only a part of the window is inside.
    weights = np.convolve(np.ones(len(codes)), window)[within]
    return _codes(powers / weights)


def _mono(block: Samples) -> Iterator[Samples]:
    """Yield the mean of the first two channels of a block in pieces (m), none empty."""
    for start in range(0, block.shape[1], _PIECE_SAMPLES):
        left, right = block[:2, start : start + _PIECE_SAMPLES]
        yield (left + right) * np.float32(0.5)


def _extremes(mono: Samples, position: int, length: int) -> tuple[int, Samples]:
    """Return the number of the first pixel from `position` on, and extremes (n, 2).

    The extremes are the lowest and the highest sample of each pixel.
    """
    first, last = position // length, (position + len(mono) - 1) // length
    starts = np.maximum(np.arange(first, last + 1) * length - position, 0)
    lowest = np.minimum.reduceat(mono, starts)
    return first, np.stack([lowest, np.maximum.reduceat(mono, starts)], axis=1)


def _reduced(fold: np.ufunc, rows: Rows, kept: int, span: Span) -> Rows:
    """Fold rows of `kept` samples each into the pixels of a span.

    Each pixel includes all rows it touches. Pixels after the last row are left out.
    """
    starts = np.arange(span.first, span.end, span.samples_per_pixel)
    starts = starts[starts < len(rows) * kept]
    if not len(starts):
        return rows[:0]
    ends = np.minimum(starts + span.samples_per_pixel, span.end)
    edges = np.stack([starts // kept, -(-ends // kept)], axis=1)
    rows = rows[edges[0, 0] : edges[-1, 1]]
    edges = np.minimum(edges - edges[0, 0], len(rows))
    # reduceat returns each pair's rows folded, then an entry to drop.
    padded = np.concatenate([rows, rows[-1:]])
    folded: Rows = fold.reduceat(padded, edges.ravel(), axis=0)[::2]
    return folded
