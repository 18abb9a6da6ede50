"""Convert decoded frames of any sample format and layout to stereo float32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

_MINUS_3_DB = 0.5**0.5

# ITU-R BS.775-4, annex 4, table 2: each channel's weight in (left, right). They are not
# normalised: float has headroom above full scale, and music keeps its level.
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
    # Not in the table: front centres count as fronts, and heights as surrounds.
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "TFL": (_MINUS_3_DB, 0.0),
    "TFR": (0.0, _MINUS_3_DB),
    "TBL": (_MINUS_3_DB, 0.0),
    "TBR": (0.0, _MINUS_3_DB),
}

# In layouts without side channels, the back channels are the surrounds of 5.1.
_SIDES, _BACKS, _EFFECTS = ("SL", "SR", "WL", "WR"), ("BL", "BR"), ("LFE", "LFE2")

# The layouts assumed for files that state none, by number of channels.
_ASSUMED = {3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

# PyAV counts a frame's planes up to a null pointer, which FFmpeg does not write from
# eight channels on: the process would crash. A packed frame always has one plane.
_UNSAFE_PLANES = 8

# PyAV can't convert 64-bit integers to arrays: doubles are precise enough.
_WIDE, _DOUBLE = "s64", "dbl"

# Integer samples: the value of silence, and the distance from it to full scale.
_INTEGER = {
    np.dtype(np.uint8): (128, 2**7),
    np.dtype(np.int16): (0, 2**15),
    np.dtype(np.int32): (0, 2**31),
}


def with_channels(frame: AudioFrame) -> NDArray[np.float32]:
    """Return a frame's stereo mix, then its channels as rows if they are more than two.

    The shape is (2, samples) or (2 + channels, samples), float32, full scale being 1.
    Mono is doubled, two channels are unchanged, and more are mixed down by ITU-R BS.775
    without the low-frequency effects channel.
    """
    planes = _planes(frame)
    if len(planes) == 1:
        return np.repeat(planes, 2, axis=0)
    if len(planes) == 2:
        return np.ascontiguousarray(planes)
    return np.concatenate([_weights(_names(frame.layout)) @ planes, planes])


def loudness_weights(layout: AudioLayout) -> tuple[float, ...]:
    """Return the weight of each channel's power in ITU-R BS.1770.

    BS.1770-5, annex 1, table 3, and annex 3, table 4: 1.41 for channels at the sides
    (60 to 120 degrees), 0 for low-frequency effects, 1 for all others.
    """
    if layout.nb_channels <= 2:
        return (1.0,) * layout.nb_channels
    names = _names(layout)
    sides = _SIDES if any(name in _SIDES for name in names) else (*_SIDES, *_BACKS)
    return tuple(
        0.0 if name in _EFFECTS else 1.41 if name in sides else 1.0 for name in names
    )


def _planes(frame: AudioFrame) -> NDArray[np.float32]:
    if frame.format.packed.name == _WIDE:
        frame = _converted(frame, _DOUBLE)
    elif frame.format.is_planar and frame.layout.nb_channels >= _UNSAFE_PLANES:
        frame = _converted(frame, frame.format.packed.name)
    samples: NDArray[Any] = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype not in _INTEGER:
        # A double outside float32's range becomes infinite, and is refused later.
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
        raise ValueError(
            f"converting a frame to {sample_format} returned {len(converted)} frames"
        )
    return converted[0]


def _names(layout: AudioLayout) -> Sequence[str]:
    """Return the channels' names; those of an assumed layout if it states none."""
    names = [channel.name for channel in layout.channels]
    if not all(name in _WEIGHTS for name in names) and len(names) in _ASSUMED:
        return [channel.name for channel in AudioLayout(_ASSUMED[len(names)]).channels]
    return names


def _weights(names: Sequence[str]) -> NDArray[np.float32]:
    # A channel of unknown position is mixed into the middle.
    middle = (1 / len(names), 1 / len(names))
    weights = [_WEIGHTS.get(name, middle) for name in names]
    return np.array(weights, dtype=np.float32).T
