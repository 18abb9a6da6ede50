"""A stem's file, written as the stem is produced.

Integer samples are rounded to the nearest (ties to even) of 2**(bits - 1) steps, which
is how they are decoded, and are not dithered: a stem that was not changed comes back
bit for bit, and silence stays silence. A wav over 4 GiB becomes RF64 (EBU 3306).

Lossy formats have rates of their own: a stem at another rate is brought to the lowest
of them that is not lower, or to the highest there is. So an opus stem is always at
48 kHz, and lasts as long as its song. What their encoders add at the start is declared
(LAME tag, edit list, pre-skip), so that players leave it out again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import av
import numpy as np
from av import AudioStream
from numpy.typing import NDArray

from serve_app.audio import mpeg
from serve_app.audio.formats import StemFormat
from serve_app.audio.resample import Resampler

Wave = NDArray[np.float32]

# More than any of the headers has.
_HEADER_BYTES = 4096

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (*_MP3_RATES, 64000, 88200, 96000)


def _mp3_bit_rate(sample_rate: int) -> int:
    # The highest of MPEG-1, MPEG-2 and MPEG-2.5.
    return (
        320_000
        if sample_rate >= 32_000
        else 160_000
        if sample_rate >= 16_000
        else 64_000
    )


@dataclass(frozen=True)
class _Recipe:
    """How a format is made. `bits` is None where the encoder takes floats."""

    container: str
    codec: str
    sample_format: str
    bits: int | None = None
    rates: tuple[int, ...] = ()
    bit_rate: Callable[[int], int] | None = None
    container_options: Mapping[str, str] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)


_RF64 = {"rf64": "auto"}
_RECIPES: Mapping[str, _Recipe] = MappingProxyType(
    {
        "wav": _Recipe("wav", "pcm_s16le", "s16", 16, container_options=_RF64),
        "wav24": _Recipe("wav", "pcm_s24le", "s32", 24, container_options=_RF64),
        "wav32f": _Recipe("wav", "pcm_f32le", "flt", container_options=_RF64),
        "flac": _Recipe("flac", "flac", "s16", 16),
        "mp3": _Recipe(
            *("mp3", "libmp3lame", "fltp", None, _MP3_RATES, _mp3_bit_rate),
            # LAME's quality 5: at this bit rate no worse to the ear than 2, which takes
            # 1.7 times as long.
            codec_options={"compression_level": "5"},
        ),
        "m4a": _Recipe(
            *("ipod", "aac", "fltp", None, _AAC_RATES, lambda _: 256_000),
            # The index first: players start before they have all of the file.
            container_options={"movflags": "+faststart"},
            codec_options={"aac_coder": "fast"},
        ),
        "opus": _Recipe("ogg", "libopus", "flt", None, (48_000,), lambda _: 160_000),
    }
)


def encoded_rate(format: StemFormat, sample_rate: int) -> int:
    """Return the rate in Hz that a stem has in `format` when its song has another."""
    rates = _RECIPES[format.name].rates
    if not rates:
        return sample_rate
    return min((rate for rate in rates if rate >= sample_rate), default=max(rates))


class Encoder:
    """Writes one stem to `path`: `write` its blocks, then `close`, or else `abort`."""

    def __init__(self, path: Path, format: StemFormat, sample_rate: int) -> None:
        self._path = path
        self._recipe = _RECIPES[format.name]
        self._rate = encoded_rate(format, sample_rate)
        self._resampler = (
            None if self._rate == sample_rate else Resampler(sample_rate, self._rate)
        )
        self._samples = 0
        self._is_open = True
        # PyAV never closes a file whose header it could not write: on a full disk this
        # fails instead.
        path.write_bytes(bytes(_HEADER_BYTES))
        self._container = av.open(
            f"file:{path.absolute()}",
            "w",
            format=self._recipe.container,
            container_options=self._container_options(),
        )
        try:
            self._stream = self._add_stream()
            self._container.start_encoding()
        except BaseException:
            self.abort()
            raise

    def write(self, block: Wave) -> None:
        """Append a block (2, samples); integer formats clip what is over full scale."""
        self._encode(block if self._resampler is None else self._resampler.push(block))

    def close(self) -> None:
        """Finish the file: it is whole once this returns."""
        rest = None if self._resampler is None else self._resampler.finish()
        if rest is not None:
            self._encode(rest)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._is_open = False
        if self._recipe.container == "mp3":
            mpeg.state_samples(self._path, self._samples)

    def abort(self) -> None:
        """Give up: the file goes."""
        try:
            if self._is_open:
                self._container.close()
        except av.FFmpegError:
            # Of a file that is deleted it does not matter how it would have ended.
            pass
        finally:
            self._is_open = False
            self._path.unlink(missing_ok=True)

    def _container_options(self) -> dict[str, str]:
        options = dict(self._recipe.container_options)
        if self._recipe.container == "ipod":
            # The unit in which the edit list says where the song ends.
            options["movie_timescale"] = str(self._rate)
        return options

    def _add_stream(self) -> AudioStream:
        recipe = self._recipe
        stream = cast(
            AudioStream,
            self._container.add_stream(
                recipe.codec, rate=self._rate, options=dict(recipe.codec_options)
            ),
        )
        stream.layout, stream.format = "stereo", recipe.sample_format
        stream.time_base = Fraction(1, self._rate)
        if recipe.bit_rate is not None:
            stream.bit_rate = recipe.bit_rate(self._rate)
        return stream

    def _encode(self, block: Wave) -> None:
        if block.shape[1] == 0:
            return
        samples: Any = (
            block
            if self._recipe.bits is None
            else as_integers(block, self._recipe.bits)
        )
        if not self._recipe.sample_format.endswith("p"):
            samples = samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), self._recipe.sample_format, "stereo"
        )
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += block.shape[1]
        self._container.mux(self._stream.encode(frame))


def as_integers(block: Wave, bits: int) -> NDArray[np.int16] | NDArray[np.int32]:
    """Return samples of 16 bits, or of 24 in the upper bits of 32, clipped."""
    full_scale = 2.0 ** (bits - 1)
    # Exact in float32: a power of two changes no digit, and 24 bits are what it holds.
    steps = block * np.float32(full_scale)
    np.rint(steps, out=steps)
    np.clip(steps, -full_scale, full_scale - 1, out=steps)
    if bits == 16:
        return np.asarray(steps, dtype=np.int16)
    # FFmpeg takes 24 bits as the upper ones of 32.
    return np.asarray(steps, dtype=np.int32) << (32 - bits)
