from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.separation.overlap_add import Samples, cut, join
from serve_app.separation.windows import GRID_SAMPLES, WindowSpec, plan

SPEC = WindowSpec(4 * GRID_SAMPLES, GRID_SAMPLES)
WINDOW, HOP = SPEC.window_samples, SPEC.hop_samples
# Around every place where the number of windows or of padding samples changes.
EDGES = (1, 2, GRID_SAMPLES, HOP, WINDOW, WINDOW + GRID_SAMPLES, WINDOW + HOP)
LENGTHS = sorted({max(1, edge + by) for edge in EDGES for by in (-1, 0, 1)})


def noise(length: int) -> Samples:
    seeded = np.random.default_rng(length)
    return seeded.standard_normal((2, length)).astype(np.float32)


def in_blocks(mix: Samples, block_samples: int) -> Iterator[Samples]:
    for start in range(0, mix.shape[1], block_samples):
        yield mix[:, start : start + block_samples]


def joined(windows: Iterator[Samples], length: int) -> Samples:
    return np.concatenate(list(join(windows, length, SPEC)), axis=-1)


def by_the_book(windows: list[Samples], length: int) -> Samples:
    """Demucs's `apply_model` in float64: triangles, summed, divided by their sum."""
    half = WINDOW // 2
    triangle = np.concatenate((np.arange(1, half + 1), np.arange(half, 0, -1)))
    total = np.zeros((2, length + WINDOW))
    weight = np.zeros(length + WINDOW)
    for start, window in zip(plan(length, SPEC), windows, strict=True):
        total[:, start : start + WINDOW] += triangle * window
        weight[start : start + WINDOW] += triangle
    return (total[:, :length] / weight[:length]).astype(np.float32)


@pytest.mark.parametrize("length", LENGTHS)
def test_identity_model_returns_the_mix(length: int) -> None:
    mix = noise(length)
    out = joined(cut(in_blocks(mix, 1000), length, SPEC), length)
    assert out.shape == mix.shape
    np.testing.assert_allclose(out, mix, rtol=0, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 6 * WINDOW), block=st.integers(300, 3 * WINDOW))
def test_identity_model_returns_a_mix_of_any_length_in_blocks_of_any_size(
    length: int, block: int
) -> None:
    mix = noise(length)
    out = joined(cut(in_blocks(mix, block), length, SPEC), length)
    np.testing.assert_allclose(out, mix, rtol=0, atol=1e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_silence_gives_silence(length: int) -> None:
    mix = np.zeros((2, length), np.float32)
    assert not joined(cut([mix], length, SPEC), length).any()


@pytest.mark.parametrize("windows", [1, 2, 3, 5])
def test_windows_one_hop_apart_are_weighted_as_demucs_does(windows: int) -> None:
    length = WINDOW + (windows - 1) * HOP
    different = [noise(WINDOW) + index for index in range(windows)]
    expected = by_the_book(different, length)
    out = joined(iter(different), length)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_fade_into_a_last_window_moved_back_has_no_jump(steps: int) -> None:
    """Three windows may overlap there: levels 0, 0 and 1 must rise from 0 to 1."""
    length = WINDOW + HOP + steps * GRID_SAMPLES
    levels = [np.full((2, WINDOW), level, np.float32) for level in (0, 0, 1)]
    out = joined(iter(levels), length)
    rises = np.diff(out, axis=1)
    assert out.min() == 0
    assert out.max() == 1
    assert 0 <= rises.min() <= rises.max() < 1 / GRID_SAMPLES


def test_samples_are_yielded_as_soon_as_no_later_window_touches_them() -> None:
    length = 3 * WINDOW
    taken: list[int] = []

    def windows() -> Iterator[Samples]:
        for index, window in enumerate(cut([noise(length)], length, SPEC)):
            taken.append(index)
            yield window

    finished = 0
    for block in join(windows(), length, SPEC):
        finished += block.shape[-1]
        later = (*plan(length, SPEC), length)[len(taken)]
        assert finished == later


def test_cutting_reads_no_further_than_the_window_needs() -> None:
    read = 0

    def blocks() -> Iterator[Samples]:
        nonlocal read
        for block in in_blocks(noise(4 * WINDOW), 100):
            read += 100
            yield block

    next(cut(blocks(), 4 * WINDOW, SPEC))
    assert read < WINDOW + 100


@pytest.mark.parametrize("surplus", [-WINDOW, -1, 1, WINDOW])
def test_a_stream_longer_or_shorter_than_promised_is_cut_or_padded(
    surplus: int,
) -> None:
    length = 2 * WINDOW + 100
    mix = noise(length + surplus)
    out = joined(cut(in_blocks(mix, 777), length, SPEC), length)
    expected = np.zeros((2, length), np.float32)
    kept = min(length, length + surplus)
    expected[:, :kept] = mix[:, :kept]
    np.testing.assert_array_equal(out, expected)


def test_what_follows_the_promised_length_is_not_in_any_window() -> None:
    length = WINDOW + 100
    *_, last = cut([noise(2 * WINDOW)], length, SPEC)
    real = length - plan(length, SPEC)[-1]
    assert last[:, :real].all()
    assert not last[:, real:].any()


def test_an_empty_stream_is_silence() -> None:
    assert joined(cut([], 3, SPEC), 3).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_all_windows_have_one_length() -> None:
    length = 3 * WINDOW + 17
    shapes = {window.shape for window in cut([noise(length)], length, SPEC)}
    assert shapes == {(2, WINDOW)}


@pytest.mark.parametrize("count", [1, 3])
def test_missing_or_surplus_windows_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="argument"):
        joined(iter([noise(WINDOW)] * count), WINDOW + HOP)


def test_a_window_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a window must have"):
        joined(iter([noise(WINDOW - 1)]), WINDOW)


def test_what_is_joined_lies_in_the_windows_themselves() -> None:
    """Copies would take CPU time from the network."""
    windows = [noise(WINDOW) for _ in range(2)]
    first, second = join(iter(windows), 2 * HOP, SPEC)
    assert np.shares_memory(first, windows[0])
    assert np.shares_memory(second, windows[1])
