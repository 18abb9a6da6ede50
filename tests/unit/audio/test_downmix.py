from typing import Any

import numpy as np
import pytest
from av import AudioFrame, AudioResampler
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

from serve_app.audio import downmix

MINUS_3_DB = 0.5**0.5


def frame(samples: NDArray[Any], sample_format: str, layout: str) -> AudioFrame:
    """Make a frame of (channels, samples), planar or packed according to its format."""
    packed = AudioFrame.from_ndarray(
        np.ascontiguousarray(samples.T).reshape(1, -1),
        format=sample_format.removesuffix("p"),
        layout=layout,
    )
    packed.sample_rate = 44_100
    return AudioResampler(format=sample_format).resample(packed)[0]


def stereo(frame: AudioFrame) -> NDArray[np.float32]:
    return downmix.with_channels(frame)[:2]


@pytest.mark.parametrize(
    ("sample_format", "steps", "expected"),
    [
        ("u8", np.array([[0, 128, 192]], np.uint8), [-1, 0, 0.5]),
        ("s16", np.array([[-32768, 0, 16384]], np.int16), [-1, 0, 0.5]),
        ("s32", np.array([[-(2**31), 0, 2**30]], np.int32), [-1, 0, 0.5]),
        ("flt", np.array([[-1, 0, 1.5]], np.float32), [-1, 0, 1.5]),
        ("dbl", np.array([[-1, 0, 1.5]], np.float64), [-1, 0, 1.5]),
    ],
)
@pytest.mark.parametrize("is_planar", [True, False])
def test_every_sample_format_has_its_full_scale_at_one(
    sample_format: str, steps: NDArray[Any], expected: list[float], is_planar: bool
) -> None:
    name = f"{sample_format}p" if is_planar else sample_format
    out = stereo(frame(steps, name, "mono"))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [expected, expected])


def test_packed_stereo_is_taken_apart() -> None:
    wave = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]], np.float32)
    np.testing.assert_array_equal(stereo(frame(wave, "flt", "stereo")), wave)
    np.testing.assert_array_equal(stereo(frame(wave, "fltp", "stereo")), wave)


def test_a_double_beyond_float32_becomes_infinite() -> None:
    wave = np.array([[1e300, 0.0]])
    assert np.isinf(stereo(frame(wave, "dblp", "mono"))[0, 0])


@pytest.mark.parametrize(
    ("layout", "left", "right"),
    [
        ("3.0", [1, 0, MINUS_3_DB], [0, 1, MINUS_3_DB]),
        ("quad", [1, 0, MINUS_3_DB, 0], [0, 1, 0, MINUS_3_DB]),
        ("4.0", [1, 0, MINUS_3_DB, 0.5], [0, 1, MINUS_3_DB, 0.5]),
        (
            "5.1",
            [1, 0, MINUS_3_DB, 0, MINUS_3_DB, 0],
            [0, 1, MINUS_3_DB, 0, 0, MINUS_3_DB],
        ),
        (
            "7.1",
            [1, 0, MINUS_3_DB, 0, MINUS_3_DB, 0, MINUS_3_DB, 0],
            [0, 1, MINUS_3_DB, 0, 0, MINUS_3_DB, 0, MINUS_3_DB],
        ),
    ],
)
def test_surround_is_mixed_down_by_the_standard(
    layout: str, left: list[float], right: list[float]
) -> None:
    """Only one channel has audio at a time, one after another."""
    alone = np.eye(len(left), dtype=np.float32)
    out = stereo(frame(alone, "fltp", layout))
    np.testing.assert_allclose(out, [left, right], rtol=1e-6)


def test_channels_without_names_are_taken_for_the_usual_ones() -> None:
    alone = np.eye(6, dtype=np.float32)
    named = stereo(frame(alone, "fltp", "5.1"))
    np.testing.assert_array_equal(stereo(frame(alone, "fltp", "6 channels")), named)


def test_channels_nobody_knows_sound_in_the_middle() -> None:
    wave = np.ones((12, 3), dtype=np.float32)
    out = stereo(frame(wave, "fltp", "12 channels"))
    np.testing.assert_allclose(out, np.ones((2, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    ("layout", "weights"),
    [
        ("mono", (1.0,)),
        ("stereo", (1.0, 1.0)),
        ("5.1", (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)),
        ("5.1(side)", (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)),
        ("6 channels", (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)),
        ("quad", (1.0, 1.0, 1.41, 1.41)),
        ("6.1", (1.0, 1.0, 1.0, 0.0, 1.0, 1.41, 1.41)),
        ("7.1", (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41)),
        ("12 channels", (1.0,) * 12),
    ],
)
def test_channels_count_in_loudness_by_where_they_are(
    layout: str, weights: tuple[float, ...]
) -> None:
    assert downmix.loudness_weights(AudioLayout(layout)) == weights


def test_channels_lie_below_the_stereo_mix() -> None:
    """One or two channels are already in the stereo mix."""
    rng = np.random.default_rng(0)
    for layout, count in (("mono", 1), ("stereo", 2), ("5.1", 6)):
        wave = rng.standard_normal((count, 64)).astype(np.float32)
        out = downmix.with_channels(frame(wave, "fltp", layout))
        assert len(out) == (2 if count <= 2 else 2 + count)
        np.testing.assert_array_equal(out[-count:], wave)
