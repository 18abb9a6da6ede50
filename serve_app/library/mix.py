"""Mix stems of any number and length in a constant amount of memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from serve_app.audio import decode, formats, frames, mono
from serve_app.audio.encode import Encoder, as_integers
from serve_app.audio.resample import resampled
from serve_app.errors import UnreadableAudio
from serve_app.library.peaks import Found, Peaks

# A mix above this is scaled down to it.
_HIGHEST_PEAK = 0.95
# Silence has none, and no gain.
_LEAST_PEAK = 1e-30

Wave = NDArray[np.float32]
OnBlock = Callable[[], None]


@dataclass(frozen=True)
class Mixed:
    """The waveform of a mix, and how many stems had another rate than the first."""

    found: Found
    resampled_stems: int


class Mixer:
    """Sums stems in a file of floats at `path`, one stem after the other.

    The sum has the first stem's rate and the longest stem's length. `on_block` is
    called with each block, and may raise.
    """

    def __init__(self, path: Path, channels: int, on_block: OnBlock) -> None:
        self._path = path
        self._channels = channels
        self._on_block = on_block
        self._samples = self._stems = self._resampled = self._sample_rate = 0
        path.touch()

    def add(self, stem: Path) -> None:
        """Add a stem; raise UnreadableAudio if it can't be decoded completely."""
        with decode.opened(stem) as song, self._path.open("r+b") as file:
            if song.is_cut_short:
                raise UnreadableAudio(frames.CUT_SHORT)
            blocks = song.blocks(decode.BLOCK_SAMPLES, with_channels=self._is_mono)
            first = next(blocks, None)
            if first is None:
                raise UnreadableAudio("A stem has no audio. Export it again.")
            self._sample_rate = self._sample_rate or song.sample_rate
            self._resampled += song.sample_rate != self._sample_rate
            waves = map(self._channels_of, chain([first], blocks))
            at = 0
            for wave in resampled(waves, song.sample_rate, self._sample_rate):
                self._on_block()
                _add(file, at, wave)
                at += wave.shape[-1]
        self._samples = max(self._samples, at)
        self._stems += 1

    def write(self, path: Path, number: int) -> Mixed:
        """Write the mix as a wav of 16 bits; return it with so many peaks."""
        gain = np.float32(min(1.0, _HIGHEST_PEAK / self._peak()) / self._stems)
        peaks = Peaks(self._samples, number)
        encoder = Encoder(
            path, formats.parse("wav"), self._sample_rate, channels=self._channels
        )
        try:
            for block in self._blocks():
                scaled = block * gain
                encoder.write(scaled)
                peaks.add(mono.mean(as_integers(scaled, 16).astype(np.float32)))
            encoder.close()
        except BaseException:
            encoder.abort()
            raise
        found = Found(peaks.end(), self._samples, self._sample_rate)
        return Mixed(found, self._resampled)

    @property
    def _is_mono(self) -> bool:
        return self._channels == 1

    def _channels_of(self, block: Wave) -> Wave:
        return mono.mean(block)[None] if self._is_mono else block

    def _peak(self) -> float:
        """Return the highest peak of the mean of the stems."""
        highest = max(float(np.abs(block).max()) for block in self._blocks())
        if not np.isfinite(highest):
            raise UnreadableAudio("A stem has samples that are not numbers.")
        return max(highest / self._stems, _LEAST_PEAK)

    def _blocks(self) -> Iterator[Wave]:
        """Yield the sum in blocks (channels, samples)."""
        frame_bytes = self._channels * np.dtype(np.float32).itemsize
        with self._path.open("rb") as file:
            while data := file.read(decode.BLOCK_SAMPLES * frame_bytes):
                self._on_block()
                frames = np.frombuffer(data, np.float32).reshape(-1, self._channels)
                yield np.ascontiguousarray(frames.T)


def _add(file: BinaryIO, at: int, wave: Wave) -> None:
    """Add a block to the frames of a file from `at` on; the file grows if needed."""
    frames = np.ascontiguousarray(wave.T)
    file.seek(at * frames.strides[0])
    before = np.frombuffer(file.read(frames.nbytes), np.float32)
    frames.reshape(-1)[: len(before)] += before
    file.seek(at * frames.strides[0])
    file.write(frames.data)
