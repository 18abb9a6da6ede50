from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.separation.windows import GRID_SAMPLES, WindowSpec, plan

SPEC = WindowSpec(10 * GRID_SAMPLES, 2 * GRID_SAMPLES)
WINDOW, HOP = SPEC.window_samples, SPEC.hop_samples


def test_a_song_shorter_than_a_window_has_one_window() -> None:
    assert plan(1, SPEC) == plan(WINDOW, SPEC) == (0,)


def test_neighbours_lie_one_hop_apart() -> None:
    assert plan(3 * HOP + WINDOW, SPEC) == (0, HOP, 2 * HOP, 3 * HOP)


def test_the_last_window_is_moved_back_to_the_end_of_the_song() -> None:
    assert plan(HOP + WINDOW + GRID_SAMPLES, SPEC) == (0, HOP, HOP + GRID_SAMPLES)


@given(
    length=st.integers(1, 50 * WINDOW),
    window=st.integers(1, 40),
    overlap=st.integers(0, 20),
)
def test_windows_cover_every_length_and_keep_to_the_grid(
    length: int, window: int, overlap: int
) -> None:
    spec = WindowSpec(window * GRID_SAMPLES, min(overlap, window // 2) * GRID_SAMPLES)
    starts = plan(length, spec)
    steps = [after - before for before, after in pairwise(starts)]
    assert starts[0] == 0
    assert all(start % GRID_SAMPLES == 0 for start in starts)
    assert all(0 < step <= spec.hop_samples for step in steps)
    assert starts[-1] + spec.window_samples >= length


@given(length=st.integers(WINDOW, 50 * WINDOW))
def test_a_song_longer_than_a_window_is_padded_by_less_than_a_grid_step(
    length: int,
) -> None:
    assert plan(length, SPEC)[-1] + WINDOW - length < GRID_SAMPLES


def test_a_song_without_samples_has_no_plan() -> None:
    with pytest.raises(ValueError, match="at least 1 sample"):
        plan(0, SPEC)


@pytest.mark.parametrize(
    ("window", "overlap", "message"),
    [
        (0, 0, "window_samples"),
        (GRID_SAMPLES + 1, 0, "window_samples"),
        (4 * GRID_SAMPLES, 1, "overlap_samples"),
        (4 * GRID_SAMPLES, -GRID_SAMPLES, "overlap_samples"),
        (4 * GRID_SAMPLES, 3 * GRID_SAMPLES, "at most half of window_samples"),
    ],
)
def test_a_spec_off_the_grid_or_without_a_hop_is_refused(
    window: int, overlap: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        WindowSpec(window, overlap)
