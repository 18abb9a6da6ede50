"""Where a song is digitally silent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.downmix import SAMPLE_RATE, Samples
from serve_app.analysis.features import FRAMES_PER_SECOND

_FRAME_SAMPLES = SAMPLE_RATE // FRAMES_PER_SECOND
# What a file's silence may have: 80 dB below full scale, or 60 below a quiet song.
_FAINTEST, _QUIETER = 1e-4, 1e-3
# The beat goes on through a shorter one.
_SHORTEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Silence:
    """From `start` to `end`, in seconds, there is no sound."""

    start: float
    end: float


class SilenceListener:
    """Finds the silence of a song that comes as mono blocks at 22,050 Hz.

    It keeps two bytes of each 20 ms.
    """

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._peaks = [np.zeros(0, np.float16)]

    def add(self, mono: Samples) -> None:
        """Take the next block (n)."""
        samples = np.concatenate([self._rest, np.abs(mono)])
        whole = len(samples) - len(samples) % _FRAME_SAMPLES
        frames = samples[:whole].reshape(-1, _FRAME_SAMPLES)
        self._peaks.append(_half(frames.max(axis=1)))
        self._rest = samples[whole:]

    def found(self) -> tuple[Silence, ...]:
        """Return the silence before the first sound, behind the last, and long pauses.

        A song without any sound is one silence.
        """
        rest = self._rest.max(keepdims=True) if len(self._rest) else self._rest
        peaks = np.concatenate([*self._peaks, _half(rest)])
        faintest = min(_FAINTEST, _QUIETER * float(peaks.max(initial=0)))
        changes = np.diff(np.pad(peaks <= faintest, 1).astype(np.int8))
        starts, ends = np.flatnonzero(changes > 0), np.flatnonzero(changes < 0)
        return tuple(
            Silence(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            if start == 0
            or end == len(peaks)
            or end - start >= _SHORTEST_PAUSE_SECONDS * FRAMES_PER_SECOND
        )


def _half(peaks: Samples) -> NDArray[np.float16]:
    """Return peaks in 16 bits, in which the largest number is 65,504."""
    return np.minimum(peaks, 60_000).astype(np.float16)
