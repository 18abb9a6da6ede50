"""Silent spans of a song: digital silence, or a constant offset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.downmix import Samples

Halves = NDArray[np.float16]

_FRAMES_PER_SECOND = 100
# Frames count as silent 80 dB below full scale, or 60 dB below the peak if lower.
_FAINTEST, _QUIETER = 1e-4, 1e-3
# Shorter pauses are not reported: the beat goes on through them.
_SHORTEST_PAUSE_SECONDS = 5.0
# Below the largest 16-bit float, 65,504.
_LOUDEST = 60_000


@dataclass(frozen=True)
class Silence:
    """A silent span, from `start` to `end` in seconds."""

    start: float
    end: float


class SilenceListener:
    """Finds the silent spans of a song that arrives in blocks (2, n).

    Keeps two bytes per 10 ms of the song.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._frame_samples = max(round(sample_rate / _FRAMES_PER_SECOND), 1)
        self._rest = np.zeros((2, 0), np.float32)
        self._heights = [np.zeros(0, np.float16)]

    def add(self, block: Samples) -> None:
        """Take the next block (2, n)."""
        samples = np.concatenate([self._rest, block], axis=1)
        whole = samples.shape[1] - samples.shape[1] % self._frame_samples
        self._heights.append(_heights(samples[:, :whole], self._frame_samples))
        self._rest = samples[:, whole:].copy()

    def result(self) -> tuple[Silence, ...]:
        """Return the silence at the start and at the end, and pauses of at least 5 s.

        A song without any sound is one silent span.
        """
        rest = _heights(self._rest, max(self._rest.shape[1], 1))
        heights = np.concatenate([*self._heights, rest])
        faintest = min(_FAINTEST, _QUIETER * float(heights.max(initial=0)))
        changes = np.diff(np.pad(heights <= faintest, 1).astype(np.int8))
        frame_seconds = self._frame_samples / self._sample_rate
        shortest = _SHORTEST_PAUSE_SECONDS / frame_seconds
        return tuple(
            Silence(start * frame_seconds, end * frame_seconds)
            for start, end in zip(
                np.flatnonzero(changes > 0).tolist(),
                np.flatnonzero(changes < 0).tolist(),
                strict=True,
            )
            if start == 0 or end == len(heights) or end - start >= shortest
        )


def _heights(samples: Samples, frame_samples: int) -> Halves:
    """Return half the peak-to-peak range of each frame of samples (2, n).

    Takes the louder channel. A constant offset has the range 0.
    """
    frames = samples.reshape(2, -1, frame_samples)
    if not frames.size:
        return np.zeros(0, np.float16)
    heights = (frames.max(axis=2) / 2 - frames.min(axis=2) / 2).max(axis=0)
    halves: Halves = np.minimum(heights, _LOUDEST).astype(np.float16)
    return halves
