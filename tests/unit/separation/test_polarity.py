"""Channels that cancel each other are distinguished from channels that differ."""

import numpy as np
import pytest

from serve_app.separation.polarity import Samples, invert_right, is_out_of_phase


def noise(seed: int = 0, samples: int = 50_000) -> Samples:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


ONE, OTHER, SILENCE = noise(1), noise(2), np.zeros(50_000, np.float32)
OUT_OF_PHASE = {
    "exactly": (ONE, -ONE),
    "nearly": (ONE, -0.999 * ONE),
    "and quieter": (ONE, -0.6 * ONE),
    "with some of its own": (ONE, -ONE + 0.3 * OTHER),
    "very quietly": (1e-6 * ONE, -1e-6 * ONE),
}
IN_PHASE = {
    "mono": (ONE, ONE),
    "left only": (ONE, SILENCE),
    "right only": (SILENCE, ONE),
    "silence": (SILENCE, SILENCE),
    "nothing in common": (ONE, OTHER),
    "the difference 6 dB over the sum": (ONE + 2 * OTHER, ONE - 2 * OTHER),
    "the difference 9 dB over the sum": (ONE + 2.8 * OTHER, ONE - 2.8 * OTHER),
    "half of it out of phase": (ONE, np.concatenate([ONE[:25_000], -ONE[25_000:]])),
}


@pytest.mark.parametrize("channels", OUT_OF_PHASE.values(), ids=OUT_OF_PHASE)
def test_channels_that_cancel_each_other_are_out_of_phase(
    channels: tuple[Samples, Samples],
) -> None:
    window = np.stack(channels).astype(np.float32)
    assert is_out_of_phase(window)
    invert_right(window)
    assert not is_out_of_phase(window)


@pytest.mark.parametrize("channels", IN_PHASE.values(), ids=IN_PHASE)
def test_channels_that_only_differ_are_not(channels: tuple[Samples, Samples]) -> None:
    assert not is_out_of_phase(np.stack(channels).astype(np.float32))


def test_only_the_right_channel_is_turned_over_and_twice_is_nothing() -> None:
    stems = noise(3, 4 * 2 * 100).reshape(4, 2, 100)
    turned = stems.copy()
    invert_right(turned)
    np.testing.assert_array_equal(turned[:, 0], stems[:, 0])
    np.testing.assert_array_equal(turned[:, 1], -stems[:, 1])
    invert_right(turned)
    np.testing.assert_array_equal(turned, stems)
