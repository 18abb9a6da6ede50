"""Decode a whole song to measure its facts, and refuse incomplete ones."""

from hashlib import sha256
from math import hypot, isfinite, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.audio import decode, frames, labels
from serve_app.audio.facts import AudioFacts
from serve_app.audio.limits import AudioLimits
from serve_app.errors import AudioTooLong, UnreadableAudio

# 120 dB over full scale: not a recording, but other bytes read as floats.
_HIGHEST_PEAK = 1e6

# A song is normalised with at least this share of both channels' deviation. The mono
# mix of music has more: 0.71 if the channels are uncorrelated, 0.45 if their difference
# is 6 dB over their sum. Below, the channels cancel each other.
_LEAST_DEVIATION = 0.25


def measure(path: Path, limits: AudioLimits) -> AudioFacts:
    """Decode the whole song as a stream, and return its facts.

    Raises AudioTooLong as soon as the header or the samples exceed a limit, and
    UnreadableAudio for a file that is not audio, truncated, damaged or empty, or that
    has a sample rate outside the limits, or NaN or infinite samples.
    """
    with decode.opened(path) as song:
        _check_rate(song, limits)
        stated_samples = song.stated_samples or 0
        _check_length(song, stated_samples, limits)
        _check_values(song, stated_samples * song.channels, limits)
        if song.is_cut_short:
            raise UnreadableAudio(frames.CUT_SHORT)
        level, sound = _Level(), sha256(str(song.sample_rate).encode())
        for block in song.blocks(decode.BLOCK_SAMPLES):
            level.add(block)
            # In sample order: the hash does not depend on the blocks' size.
            sound.update(np.ascontiguousarray(block.T).data)
            _check_length(song, level.samples, limits)
            _check_values(song, song.decoded_values, limits)
        _check_rate(song, limits)
        _check_sound(level.samples)
        return AudioFacts(
            sample_rate=song.sample_rate,
            channels=song.channels,
            samples=level.samples,
            mean=level.mean,
            deviation=level.deviation,
            peak=level.peak,
            codec=song.codec,
            sha256=sound.hexdigest(),
            side_mean=level.side_mean,
            tags_sha256=labels.fingerprint(path),
        )


class _Level:
    """Means, deviation and peak of a stream, in float64 precision."""

    def __init__(self) -> None:
        self.peak = 0.0
        # Half the sum of the channels, and half their difference.
        self._mono, self._side = _Moments(), _Moments()

    @property
    def samples(self) -> int:
        """The number of samples in each channel."""
        return self._mono.samples

    @property
    def mean(self) -> float:
        """The mono mix's mean."""
        return self._mono.mean

    @property
    def side_mean(self) -> float:
        """Half the difference of the left channel's mean and the right one's."""
        return self._side.mean

    @property
    def deviation(self) -> float:
        """The mono mix's deviation, or a quarter of both channels' if greater."""
        mono = self._mono.deviation
        # The channels' mean variance is the sum of these two variances.
        return max(mono, _LEAST_DEVIATION * hypot(mono, self._side.deviation))

    def add(self, block: NDArray[np.float32]) -> None:
        """Add the next block (2, n)."""
        peak = float(np.abs(block).max())
        if not isfinite(peak) or peak > _HIGHEST_PEAK:
            raise UnreadableAudio(
                "The song has samples that are not numbers or are far beyond full "
                "scale. Export it again; if it was float, as 16-bit or 24-bit."
            )
        self.peak = max(self.peak, peak)
        for moments, combine in ((self._mono, np.add), (self._side, np.subtract)):
            half = combine(block[0], block[1], dtype=np.float64)
            half *= 0.5
            moments.add(half)


class _Moments:
    """Mean and deviation of a stream of samples.

    The blocks' moments are merged by the method of Chan, Golub and LeVeque (1979),
    which avoids the cancellation of a plain sum of squares.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.mean = 0.0
        self._squares = 0.0

    @property
    def deviation(self) -> float:
        """The sample standard deviation; 0 for a single sample."""
        return sqrt(self._squares / (self.samples - 1)) if self.samples > 1 else 0.0

    def add(self, block: NDArray[np.float64]) -> None:
        """Add the next block (n); it is overwritten."""
        count, mean = block.size, float(block.mean())
        block -= mean
        total = self.samples + count
        difference = mean - self.mean
        # Not `block @ block`: BLAS would wake all cores, and its threads spin idly.
        self._squares += float(np.square(block, out=block).sum())
        self._squares += difference**2 * self.samples * count / total
        self.mean += difference * count / total
        self.samples = total


def _check_rate(song: decode.Song, limits: AudioLimits) -> None:
    if not limits.min_sample_rate <= song.sample_rate <= limits.max_sample_rate:
        raise UnreadableAudio(
            f"The sample rate must be {limits.min_sample_rate} to "
            f"{limits.max_sample_rate} Hz, got {song.sample_rate} Hz. Convert the "
            "song, for example to 44100 Hz."
        )


def _check_length(song: decode.Song, samples: int, limits: AudioLimits) -> None:
    if samples > limits.max_duration_seconds * song.sample_rate:
        minutes = limits.max_duration_seconds / 60
        raise AudioTooLong(
            f"The song is longer than {minutes:g} minutes, the limit. Cut it into "
            "shorter pieces."
        )


def _check_values(song: decode.Song, values: int, limits: AudioLimits) -> None:
    if values > limits.max_values:
        raise AudioTooLong(
            f"The song has more than {limits.max_values} samples in its "
            f"{song.channels} channels of {song.sample_rate} Hz, the limit. Convert it "
            "to 44.1 kHz stereo, or cut it into shorter pieces."
        )


def _check_sound(samples: int) -> None:
    if samples == 0:
        raise UnreadableAudio(
            "The file has no audio: it has a header but no samples. Export the song "
            "again."
        )
