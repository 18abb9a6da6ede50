from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.resample import exactly, resampled, resampled_samples
from tests import media
from tests.signals import offset_samples, snr_db

Wave = NDArray[np.float32]

RATES = [8_000, 11_025, 22_050, 32_000, 48_000, 88_200, 96_000, 192_000]


def blocks_of(wave: Wave, size: int = 5_003) -> Iterator[Wave]:
    for start in range(0, wave.shape[-1], size):
        yield wave[..., start : start + size]


def joined(blocks: Iterator[Wave]) -> Wave:
    return np.concatenate(list(blocks), axis=-1)


@pytest.mark.parametrize("rate", RATES)
def test_there_and_back_gives_the_same_song(rate: int) -> None:
    wave = media.song(1.5, rate)
    there = joined(resampled(blocks_of(wave), rate, 44_100))
    assert there.shape[1] == round(wave.shape[1] * 44_100 / rate)
    back = joined(exactly(resampled(blocks_of(there), 44_100, rate), wave.shape[1]))
    assert back.shape == wave.shape
    assert offset_samples(back, wave) == 0
    inner = slice(rate // 4, -rate // 4)  # a filter rings at a hard edge
    assert snr_db(wave[:, inner], back[:, inner]) > 70


@pytest.mark.parametrize("rate", RATES)
def test_a_resampled_song_lies_where_it_lay(rate: int) -> None:
    """An impulse at one second is at one second."""
    wave = np.zeros((2, 2 * rate), dtype=np.float32)
    wave[:, rate] = 1
    there = joined(resampled(blocks_of(wave), rate, 44_100))
    assert int(np.argmax(there[0])) == 44_100


def test_the_same_rate_passes_untouched() -> None:
    wave = media.song(0.5)
    assert [block.base is wave for block in resampled(blocks_of(wave), 100, 100)]
    np.testing.assert_array_equal(joined(resampled(blocks_of(wave), 100, 100)), wave)


def test_stems_are_resampled_like_songs() -> None:
    wave = media.song(0.5, 44_100)
    stems = np.stack([wave, -wave, 0.5 * wave])
    out = joined(resampled(blocks_of(stems), 44_100, 48_000))
    one = joined(resampled(blocks_of(wave), 44_100, 48_000))
    assert out.shape == (3, *one.shape)
    np.testing.assert_allclose(out[1], -one, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 3, 100])
def test_a_song_never_becomes_empty(samples: int) -> None:
    wave = np.full((2, samples), 0.25, dtype=np.float32)
    assert joined(resampled([wave], 192_000, 8_000)).shape[1] >= 1


@pytest.mark.parametrize("samples", [*range(1, 12), 400, 100_001])
@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(88_200, 44_100), (96_000, 48_000), (48_000, 44_100), (64_000, 48_000)],
)
def test_the_length_is_known_beforehand(from_hz: int, to_hz: int, samples: int) -> None:
    """Also if the exact length ends in half a sample."""
    blocks = blocks_of(np.ones((2, samples), dtype=np.float32), 30_011)
    length = resampled_samples(samples, from_hz, to_hz)
    assert length == max(1, round(samples * to_hz / from_hz))
    assert joined(resampled(blocks, from_hz, to_hz)).shape == (2, length)


def test_nothing_stays_nothing() -> None:
    assert resampled_samples(0, 48_000, 44_100) == 0


def test_no_blocks_give_no_blocks() -> None:
    assert list(resampled([], 48_000, 44_100)) == []


def test_the_stream_flows() -> None:
    """Output starts before the input ends: the song is not buffered."""
    taken = []

    def source() -> Iterator[Wave]:
        for index in range(100):
            taken.append(index)
            yield np.zeros((2, 10_000), dtype=np.float32)

    seen = [len(taken) for _ in resampled(source(), 48_000, 44_100)]
    assert seen[0] < 5
    assert all(later - earlier <= 2 for earlier, later in pairwise(seen))


@pytest.mark.parametrize("samples", [0, 1, 5_003, 9_999, 10_000])
def test_a_longer_stream_is_cut(samples: int) -> None:
    wave = media.song(10_000 / 44_100)
    out = list(exactly(blocks_of(wave), samples))
    assert sum(block.shape[1] for block in out) == samples
    np.testing.assert_array_equal(joined(iter([*out, wave[:, :0]])), wave[:, :samples])


@pytest.mark.parametrize("samples", [10_001, 15_003, 123_456])
def test_a_shorter_stream_is_padded_with_silence(samples: int) -> None:
    wave = media.song(10_000 / 44_100)
    out = list(exactly(blocks_of(wave), samples))
    assert max(block.shape[1] for block in out) <= 5_003
    whole = joined(iter(out))
    assert whole.shape == (2, samples)
    np.testing.assert_array_equal(whole[:, :10_000], wave)
    assert not whole[:, 10_000:].any()


def test_the_source_is_read_to_its_end() -> None:
    """The source may raise errors or close files at its end."""
    ended = []

    def source() -> Iterator[Wave]:
        yield np.zeros((2, 100), dtype=np.float32)
        yield np.zeros((2, 100), dtype=np.float32)
        ended.append(True)

    list(exactly(source(), 50))
    assert ended


def test_nothing_can_not_be_brought_to_length() -> None:
    with pytest.raises(ValueError, match="no blocks"):
        list(exactly([], 10))
