"""Encode a stem to a file block by block.

Integer samples are rounded to the nearest (ties to even) of 2**(bits - 1) steps, as
they are decoded, without dither: an unchanged stem comes back bit for bit, and silence
stays silence. A wav over 4 GiB becomes RF64 (EBU 3306).

Lossy formats support certain rates: a stem at another rate is resampled to the lowest
supported rate above it, or else to the highest. So an opus stem is always at 48 kHz,
and lasts as long as its song. The samples that encoders add at the start are declared
(LAME tag, edit list, pre-skip), so that players skip them.
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

_LAYOUTS = {1: "mono", 2: "stereo"}

# Longer than any of the headers.
_HEADER_BYTES = 4096

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (*_MP3_RATES, 64000, 88200, 96000)


def _mp3_bit_rate(sample_rate: int) -> int:
    # The highest bit rates of MPEG-1, MPEG-2 and MPEG-2.5.
    return (
        320_000
        if sample_rate >= 32_000
        else 160_000
        if sample_rate >= 16_000
        else 64_000
    )


@dataclass(frozen=True)
class _Recipe:
    """FFmpeg's options for a format. `bits` is None if the encoder takes floats."""

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
            # LAME's quality 5: at this bit rate it sounds as good as 2, which takes 1.7
            # times as long.
            codec_options={"compression_level": "5"},
        ),
        "m4a": _Recipe(
            *("ipod", "aac", "fltp", None, _AAC_RATES, lambda _: 256_000),
            # The index comes first, so that players can start before the download ends.
            container_options={"movflags": "+faststart"},
            # Substituted noise would differ when a stem is decoded from its middle on.
            codec_options={"aac_coder": "fast", "aac_pns": "0"},
        ),
        "opus": _Recipe("ogg", "libopus", "flt", None, (48_000,), lambda _: 160_000),
    }
)


def encoded_rate(format: StemFormat, sample_rate: int) -> int:
    """Return the rate in Hz of a stem in `format` for a song at `sample_rate`."""
    rates = _RECIPES[format.name].rates
    if not rates:
        return sample_rate
    return min((rate for rate in rates if rate >= sample_rate), default=max(rates))


class Encoder:
    """Writes one stem to `path`: `write` the blocks, then `close`; or `abort`."""

    def __init__(
        self, path: Path, format: StemFormat, sample_rate: int, channels: int = 2
    ) -> None:
        self._path = path
        self._layout = _LAYOUTS[channels]
        self._recipe = _RECIPES[format.name]
        self._rate = encoded_rate(format, sample_rate)
        self._resampler = (
            None if self._rate == sample_rate else Resampler(sample_rate, self._rate)
        )
        self._samples = 0
        self._is_open = True
        # PyAV never closes a file if it can't write its header. On a full disk this
        # write fails first.
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
        """Append a block (channels, samples); integers clip values over full scale."""
        self._encode(block if self._resampler is None else self._resampler.push(block))

    def close(self) -> None:
        """Finish the file: it is complete when this returns."""
        rest = None if self._resampler is None else self._resampler.finish()
        if rest is not None:
            self._encode(rest)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._is_open = False
        if self._recipe.container == "mp3":
            mpeg.state_samples(self._path, self._samples)

    def abort(self) -> None:
        """Stop writing and delete the file."""
        try:
            if self._is_open:
                self._container.close()
        except av.FFmpegError:
            pass  # The file is deleted anyway.
        finally:
            self._is_open = False
            self._path.unlink(missing_ok=True)

    def _container_options(self) -> dict[str, str]:
        options = dict(self._recipe.container_options)
        if self._recipe.container == "ipod":
            # The unit of the edit list: it ends exactly to the sample.
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
        stream.layout, stream.format = self._layout, recipe.sample_format
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
            np.ascontiguousarray(samples), self._recipe.sample_format, self._layout
        )
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += block.shape[1]
        self._container.mux(self._stream.encode(frame))


def as_integers(block: Wave, bits: int) -> NDArray[np.int16] | NDArray[np.int32]:
    """Return clipped samples of 16 bits, or of 24 in the upper bits of int32."""
    full_scale = 2.0 ** (bits - 1)
    # Exact: scaling by a power of two keeps float32's 24 significant bits.
    steps = block * np.float32(full_scale)
    np.rint(steps, out=steps)
    np.clip(steps, -full_scale, full_scale - 1, out=steps)
    if bits == 16:
        return np.asarray(steps, dtype=np.int16)
    # FFmpeg expects 24-bit samples in the upper bits of 32.
    return np.asarray(steps, dtype=np.int32) << (32 - bits)
