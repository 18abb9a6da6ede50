"""The waveform of the library: peaks of a mono signal, as one number each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.audio import mono
from serve_app.audio.mono import MonoSong
from serve_app.errors import UnreadableAudio
from serve_app.library import keys

_DIGITS = 4
_NOT_NUMBERS = (
    "The file has samples that are not numbers. Export it again, as 16 or 24 bits."
)
_EMPTY = "The file has no audio: it has a header but no samples. Export it again."


class Peaks:
    """The largest magnitude of each of `number` slices of a signal of `samples`.

    A slice has floor(samples / number) samples, and what is left at the end is left
    out. A signal with fewer samples than slices is padded with silence.
    """

    def __init__(self, samples: int, number: int) -> None:
        self._slice_samples = max(1, samples // number)
        self._peaks = np.zeros(number, np.float64)
        self._at = 0

    def add(self, mono: NDArray[np.float32]) -> None:
        """Take the next samples."""
        left = len(self._peaks) * self._slice_samples - self._at
        mono = np.abs(mono[: max(0, left)])
        if not len(mono):
            return
        first = self._at // self._slice_samples
        starts = np.arange(first, (self._at + len(mono) - 1) // self._slice_samples + 1)
        bounds = np.maximum(starts * self._slice_samples - self._at, 0)
        found = np.maximum.reduceat(mono, bounds)
        of_these = self._peaks[first : first + len(found)]
        np.maximum(of_these, found, out=of_these)
        self._at += len(mono)

    def end(self) -> list[float]:
        """Return the peaks, scaled so that the largest is 1, with four decimals.

        Raises UnreadableAudio if a sample was not a number.
        """
        largest = self._peaks.max()
        if not np.isfinite(largest):
            raise UnreadableAudio(_NOT_NUMBERS)
        scaled = self._peaks / largest if largest > 0 else self._peaks
        return [float(peak) for peak in np.round(scaled, _DIGITS)]


@dataclass(frozen=True)
class Found:
    """The peaks of a file, and its length and rate."""

    peaks: list[float]
    samples: int
    sample_rate: int

    @property
    def duration_seconds(self) -> float:
        """The length of the file."""
        return self.samples / self.sample_rate


def of_file(
    path: Path,
    number: int,
    on_block: Callable[[], None],
    check: Callable[[MonoSong], None] = lambda _: None,
) -> Found:
    """Return the peaks of a file.

    One pass, or two for a file that does not state its length exactly. `check` is
    called with the open file, and `on_block` with each block; both may raise. Raises
    UnreadableAudio.
    """
    samples: int | None = None
    while True:
        with mono.opened(path) as song:
            check(song)
            expected = song.expected_samples if samples is None else samples
            peaks, at = Peaks(expected or 0, number), 0
            for block in song.blocks():
                on_block()
                peaks.add(block)
                at += len(block)
            if not at:
                raise UnreadableAudio(_EMPTY)
            if at == expected:
                return Found(peaks.end(), at, song.sample_rate)
        samples = at


def waveform(
    peaks: list[float], samples: int, sample_rate: int, created_at: datetime
) -> dict[str, Any]:
    """Return the content of a waveform file."""
    return {
        "peaks": peaks,
        "duration": samples / sample_rate,
        "sample_rate": sample_rate,
        "num_peaks": len(peaks),
        "created_at": keys.time_of(created_at),
    }
