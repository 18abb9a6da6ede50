import numpy as np
import pytest

from serve_app.analysis.steps import StepSums, pieces


@pytest.mark.parametrize("sample_rate", [4_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("steps_per_second", [1, 10, 100])
def test_steps_neither_drift_nor_lose_a_sample(
    sample_rate: int, steps_per_second: int
) -> None:
    values = np.random.default_rng(0).random(3 * sample_rate + 17)
    steps = StepSums(sample_rate, steps_per_second)
    ends = np.sort(np.random.default_rng(1).integers(0, len(values), 50))
    sums = np.concatenate([steps.add(part) for part in np.split(values, ends)])
    assert steps.count == len(sums)
    assert len(sums) >= 3 * steps_per_second
    assert sums.sum() + steps.rest.sum() == pytest.approx(values.sum())
    second = sums[steps_per_second : 2 * steps_per_second].sum()
    assert second == pytest.approx(values[sample_rate : 2 * sample_rate].sum())


def test_a_step_is_whole_with_its_last_sample() -> None:
    steps = StepSums(48_000, 100)
    assert len(steps.add(np.ones(479))) == 0
    assert steps.add(np.ones(1)).tolist() == [480]
    assert len(steps.rest) == 0


def test_pieces_of_a_block_are_all_of_it() -> None:
    block = np.arange(2 * 200_000, dtype=np.float32).reshape(2, -1)
    parts = list(pieces(block))
    assert max(part.shape[1] for part in parts) <= 32_768
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), block)
    assert list(pieces(block[:, :0])) == []
