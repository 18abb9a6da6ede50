"""Stereo float32 out of whatever samples and channels a decoder gives."""

from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

_MINUS_3_DB = 0.5**0.5

# ITU-R BS.775-4, annex 4, table 2: what a channel adds to (left, right). They are not
# normalised: float has room above full scale, and music keeps its level.
_WEIGHTS = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_MINUS_3_DB, _MINUS_3_DB),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    "BL": (_MINUS_3_DB, 0.0),
    "BR": (0.0, _MINUS_3_DB),
    "SL": (_MINUS_3_DB, 0.0),
    "SR": (0.0, _MINUS_3_DB),
    "BC": (0.5, 0.5),
    # Beyond the table: fronts that lie beside the fronts, and heights as surrounds.
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "TFL": (_MINUS_3_DB, 0.0),
    "TFR": (0.0, _MINUS_3_DB),
    "TBL": (_MINUS_3_DB, 0.0),
    "TBR": (0.0, _MINUS_3_DB),
}

# The layouts of files that name none, by their number of channels.
_ASSUMED = {3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

# PyAV counts a frame's planes up to a null pointer, and FFmpeg writes none from eight
# channels on: the process dies. A packed frame has one plane, however many channels.
_UNSAFE_PLANES = 8

# PyAV makes no arrays of integers of 64 bits: as doubles they are exact enough.
_WIDE, _DOUBLE = "s64", "dbl"

# Integer samples: the value of silence, and the distance from it to full scale.
_INTEGER = {
    np.dtype(np.uint8): (128, 2**7),
    np.dtype(np.int16): (0, 2**15),
    np.dtype(np.int32): (0, 2**31),
}


def stereo(frame: AudioFrame) -> NDArray[np.float32]:
    """Return a decoded frame's samples as float32 (2, samples), full scale being 1.

    Mono is doubled, two channels are left as they are, and more are mixed down by
    ITU-R BS.775 without its low-frequency effects.
    """
    planes = _planes(frame)
    if len(planes) == 1:
        return np.repeat(planes, 2, axis=0)
    if len(planes) == 2:
        return np.ascontiguousarray(planes)
    return _weights(frame.layout, len(planes)) @ planes


def _planes(frame: AudioFrame) -> NDArray[np.float32]:
    if frame.format.packed.name == _WIDE:
        frame = _converted(frame, _DOUBLE)
    elif frame.format.is_planar and frame.layout.nb_channels >= _UNSAFE_PLANES:
        frame = _converted(frame, frame.format.packed.name)
    samples: NDArray[Any] = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype not in _INTEGER:
        # A double may lie outside float32; it becomes infinite, and is refused later.
        with np.errstate(over="ignore", invalid="ignore"):
            return samples.astype(np.float32, copy=False)
    silence, full_scale = _INTEGER[samples.dtype]
    wave = samples.astype(np.float32)
    if silence:
        wave -= np.float32(silence)
    wave *= np.float32(1 / full_scale)
    return wave


def _converted(frame: AudioFrame, sample_format: str) -> AudioFrame:
    resampler = AudioResampler(format=sample_format)
    converted = [*resampler.resample(frame), *resampler.resample(None)]
    if len(converted) != 1:
        raise ValueError("a frame did not convert to one of another format")
    return converted[0]


def _weights(layout: AudioLayout, channels: int) -> NDArray[np.float32]:
    names = [channel.name for channel in layout.channels]
    if not all(name in _WEIGHTS for name in names) and channels in _ASSUMED:
        names = [channel.name for channel in AudioLayout(_ASSUMED[channels]).channels]
    # A channel with no known place sounds in the middle.
    middle = (1 / channels, 1 / channels)
    weights = [_WEIGHTS.get(name, middle) for name in names]
    return np.array(weights, dtype=np.float32).T
