"""The replicas that jobs need follow their audio, and a job needs at most one."""

import pytest

from serve_app.scaling.demand import replicas

SPEED = 10.0
GOAL_SECONDS = 60.0
# What one replica does in that time.
FULL_SECONDS = SPEED * GOAL_SECONDS


@pytest.mark.parametrize(
    ("remaining_seconds", "needed"),
    [
        ([], 0.0),
        ([FULL_SECONDS], 1.0),
        ([FULL_SECONDS / 4] * 6, 1.5),
        # Two hours on one replica, however long that takes.
        ([7200.0], 1.0),
        ([7200.0, FULL_SECONDS / 2], 1.5),
    ],
)
def test_each_job_needs_its_share(
    remaining_seconds: list[float], needed: float
) -> None:
    assert replicas(remaining_seconds, SPEED, GOAL_SECONDS) == pytest.approx(needed)
