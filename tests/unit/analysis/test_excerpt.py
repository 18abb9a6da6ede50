"""The excerpt is mono at 22,050 Hz and no longer than 180 s, however it comes in."""

from collections.abc import Iterator

import numpy as np
import pytest

from serve_app.analysis.excerpt import EXCERPT_SECONDS, SAMPLE_RATE, excerpt
from tests.unit.analysis.music import Mono


def stereo(seconds: float, rate: int) -> Mono:
    """440 Hz on the left, twice as loud as on the right."""
    time = np.arange(int(seconds * rate), dtype=np.float32) / rate
    tone = np.sin(2 * np.pi * 440 * time)
    return np.stack([tone, tone / 2]).astype(np.float32)


def split(song: Mono, size: int) -> Iterator[Mono]:
    for start in range(0, song.shape[1], size):
        yield song[:, start : start + size]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_every_rate_gives_the_same_tone(rate: int) -> None:
    mono = excerpt([stereo(2.0, rate)], rate)
    time = np.arange(len(mono)) / SAMPLE_RATE
    expected = 0.75 * np.sin(2 * np.pi * 440 * time)
    inside = slice(SAMPLE_RATE // 10, -SAMPLE_RATE // 10)
    assert len(mono) == pytest.approx(2 * SAMPLE_RATE, abs=2)
    np.testing.assert_allclose(mono[inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("size", [1_000, 65_536])
def test_the_cut_into_blocks_does_not_matter(size: int) -> None:
    song = stereo(2.0, 44_100)
    whole = excerpt([song], 44_100)
    np.testing.assert_allclose(excerpt(split(song, size), 44_100), whole, atol=1e-6)


def test_no_more_is_asked_for_than_is_listened_to() -> None:
    """A song without end is analysed like any other."""
    asked = 0

    def endless() -> Iterator[Mono]:
        nonlocal asked
        while True:
            asked += 1
            yield np.zeros((2, 44_100), np.float32)

    assert len(excerpt(endless(), 44_100)) == EXCERPT_SECONDS * SAMPLE_RATE
    assert asked <= EXCERPT_SECONDS + 1


def test_no_blocks_give_no_samples() -> None:
    assert excerpt([], 44_100).shape == (0,)
