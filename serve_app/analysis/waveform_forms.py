"""The output formats of waveforms, and the checks of what a request may ask for."""

import json
import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.waveform import (
    BANDS,
    HIGH_HZ,
    LOW_HZ,
    MOST_PIXELS,
    Pixels,
    Span,
)
from serve_app.errors import InvalidInput

DEFAULT_PIXELS_PER_SECOND = 100
LEAST_PIXELS_PER_SECOND, MOST_PIXELS_PER_SECOND = 0.01, 300
MOST_PEAKS = 100_000

# https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
_VERSION = 2
_HEADER = struct.Struct("<iIiiIi")
_IS_8_BIT = 1
_MOST_SAMPLES_PER_PIXEL = 2**31 - 1
_PIECE_PIXELS = 16_384

_BAND_EDGES_HZ = (0, LOW_HZ, HIGH_HZ, None)


def span(
    sample_rate: int,
    part: tuple[int, int],
    *,
    pixels_per_second: float | None = None,
    num_peaks: int | None = None,
) -> Span:
    """Return the pixels of a part of a song, by default 100 a second.

    With `pixels_per_second`, a pixel has the sample rate divided by it, rounded down,
    as in audiowaveform. With `num_peaks` it has ceil(n / num_peaks) of the part's n
    samples, so there are at most `num_peaks` pixels. The last pixel may be shorter.
    Raises InvalidInput.
    """
    first, end = part
    if num_peaks is not None:
        if pixels_per_second is not None:
            raise InvalidInput('Send "pixels_per_second" or "num_peaks", not both.')
        _check_peaks(num_peaks)
        length = -(-(end - first) // num_peaks)
        if length > _MOST_SAMPLES_PER_PIXEL:
            least = -(-(end - first) // _MOST_SAMPLES_PER_PIXEL)
            raise InvalidInput(
                f'"num_peaks" must be at least {least} for a song this long, '
                f"got {num_peaks}."
            )
        return Span(first, end, length)
    rate = DEFAULT_PIXELS_PER_SECOND if pixels_per_second is None else pixels_per_second
    if not LEAST_PIXELS_PER_SECOND <= rate <= MOST_PIXELS_PER_SECOND:
        raise InvalidInput(
            f'"pixels_per_second" must be from {LEAST_PIXELS_PER_SECOND} to '
            f"{MOST_PIXELS_PER_SECOND}, got {rate}."
        )
    asked = Span(first, end, max(math.floor(sample_rate / rate), 1))
    if asked.pixels > MOST_PIXELS:
        most = MOST_PIXELS * sample_rate / (end - first)
        raise InvalidInput(
            f"A waveform must have at most {MOST_PIXELS} pixels, got {asked.pixels}: "
            f'send "pixels_per_second" of at most {math.floor(most)}, or "start" and '
            '"end".'
        )
    return asked


def library_span(part: tuple[int, int], num_peaks: int) -> Span:
    """Return exactly `num_peaks` pixels of floor(n / num_peaks) of a part's n samples.

    A pixel has at least one sample. As in web players' libraries, missing samples are 0
    and samples left over are ignored. Raises InvalidInput.
    """
    first, end = part
    _check_peaks(num_peaks)
    length = max((end - first) // num_peaks, 1)
    return Span(first, first + num_peaks * length, length)


def _check_peaks(num_peaks: int) -> None:
    if not 1 <= num_peaks <= MOST_PEAKS:
        raise InvalidInput(
            f'"num_peaks" must be from 1 to {MOST_PEAKS}, got {num_peaks}.'
        )


def part(
    sample_rate: int,
    samples: int,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> tuple[int, int]:
    """Return the first sample of a part of a song, and the sample after its last one.

    `end_seconds` may lie after the song's end. Raises InvalidInput.
    """
    seconds = samples / sample_rate
    if not 0 <= start_seconds < seconds:
        raise InvalidInput(
            f'"start" must be at least 0 and before the end of the song '
            f"({seconds:.3f} s), got {start_seconds}."
        )
    if end_seconds is None:
        end_seconds = seconds
    if not math.isfinite(end_seconds):
        raise InvalidInput(
            f'"end" must be a finite number of seconds, got {end_seconds}: omit it for '
            "the rest of the song."
        )
    if not start_seconds < end_seconds:
        raise InvalidInput(
            f'"end" must be after "start" ({start_seconds} s), got {end_seconds}.'
        )
    first = min(math.floor(start_seconds * sample_rate), samples - 1)
    end = round(min(end_seconds, seconds) * sample_rate)
    return first, max(end, first + 1)


def check(bits: int, bands: int) -> None:
    """Raise InvalidInput for unsupported numbers of bits or bands."""
    if bits not in (8, 16):
        raise InvalidInput(f'"bits" must be 8 or 16, got {bits}.')
    if bands not in (1, len(BANDS)):
        raise InvalidInput(f'"bands" must be 1 or {len(BANDS)}, got {bands}.')


def dat(pixels: Pixels, bits: int) -> Iterator[bytes]:
    """Yield a waveform in audiowaveform's binary format, version 2, in pieces.

    Three bands are three channels, low to high.
    """
    flags = _IS_8_BIT if bits == 8 else 0
    length = len(pixels.values)
    yield _HEADER.pack(
        _VERSION,
        flags,
        pixels.sample_rate,
        pixels.samples_per_pixel,
        length,
        pixels.channels,
    )
    for numbers in _numbers(pixels, bits):
        yield numbers.astype("<i1" if bits == 8 else "<i2").tobytes()


def audiowaveform_json(pixels: Pixels, bits: int) -> Iterator[bytes]:
    """Yield a waveform in audiowaveform's JSON format, version 2, in pieces.

    Three bands are three channels, low to high; `bands` has their names and edges.
    """
    facts: dict[str, Any] = {
        "version": _VERSION,
        "channels": pixels.channels,
        "sample_rate": pixels.sample_rate,
        "samples_per_pixel": pixels.samples_per_pixel,
        "bits": bits,
        "length": len(pixels.values),
    }
    if pixels.channels == len(BANDS):
        facts["bands"] = _band_names()
    yield json.dumps(facts, separators=(",", ":"))[:-1].encode() + b',"data":['
    yield from _listed(numbers.ravel() for numbers in _numbers(pixels, bits))
    yield b"]}"


def wavesurfer(pixels: Pixels, bits: int, duration_seconds: float) -> Iterator[bytes]:
    """Yield the `peaks` and `duration` that wavesurfer.js loads, as JSON in pieces.

    A peak is the sample of its pixel farthest from 0, as in wavesurfer's
    `exportPeaks`: -1 to 1, with four decimals, or two for 8 bits. Three bands are three
    arrays, low to high.
    """
    decimals = 2 if bits == 8 else 4
    yield b'{"peaks":['
    for channel in range(pixels.channels):
        yield b"[" if channel == 0 else b"],["
        rows = pixels.values[:, channel]
        yield from _listed(
            np.round(_farthest(piece).astype(np.float64).clip(-1, 1), decimals)
            for piece in _pieces(rows)
        )
    yield b']],"duration":' + json.dumps(round(duration_seconds, 6)).encode()
    if pixels.channels == len(BANDS):
        yield b',"bands":' + json.dumps(_band_names(), separators=(",", ":")).encode()
    yield b"}"


def library(
    peaks: Pixels, duration_seconds: float, created_at: datetime
) -> dict[str, Any]:
    """Return a waveform as web player libraries store it: `num_peaks` from 0 to 1.

    A peak is the largest |sample| of its pixel, scaled so that the largest peak is 1,
    with four decimals. Only the peaks of a PeaksListener make it exact.
    """
    heights = np.abs(peaks.values[:, 0].astype(np.float64)).max(axis=1)
    highest = heights.max()
    scaled = heights / highest if highest > 0 else heights
    return {
        "peaks": np.round(scaled, 4).tolist(),
        "duration": duration_seconds,
        "sample_rate": peaks.sample_rate,
        "num_peaks": len(heights),
        "created_at": created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def _numbers(pixels: Pixels, bits: int) -> Iterator[NDArray[np.int64]]:
    """Yield a waveform as integers (n, channels, 2) with `bits` bits."""
    for piece in _pieces(pixels.values):
        numbers = np.rint(piece.astype(np.float64) * 32_768).clip(-32_768, 32_767)
        # Rounded toward 0, as audiowaveform converts 16 bits to 8.
        yield (np.trunc(numbers / 256) if bits == 8 else numbers).astype(np.int64)


def _pieces(rows: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(rows), _PIECE_PIXELS):
        yield rows[start : start + _PIECE_PIXELS]


def _listed(pieces: Iterator[NDArray[Any]]) -> Iterator[bytes]:
    for count, piece in enumerate(pieces):
        yield (b"," if count else b"") + ",".join(map(str, piece.tolist())).encode()


def _farthest(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lowest, highest = rows[:, 0], rows[:, 1]
    return np.where(highest >= -lowest, highest, lowest)


def _band_names() -> list[dict[str, Any]]:
    edges = zip(BANDS, _BAND_EDGES_HZ[:-1], _BAND_EDGES_HZ[1:], strict=True)
    return [{"name": name, "from_hz": low, "to_hz": high} for name, low, high in edges]
