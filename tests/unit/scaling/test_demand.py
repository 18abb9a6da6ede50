"""Replicas follow the audio of jobs, one for each at most, and what is usual."""

import pytest

from serve_app.scaling.demand import Usual, replicas

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


HALF_HOUR_SECONDS = 1800


def usual(*needed: float, period_seconds: float = 10.0) -> tuple[Usual, float]:
    """Return what is usual after jobs needed this, and the time."""
    found, now = Usual(), 1e9
    for number in needed:
        now += period_seconds
        found.add(now, number)
    return found, now


def test_a_quarter_more_than_usual_stands_by() -> None:
    found, now = usual(*[3.0] * 60, *[5.0] * 60, *[4.0] * 60)
    assert found.standby(now) == pytest.approx(5.0)


def test_a_crowd_of_a_few_minutes_is_not_kept() -> None:
    found, now = usual(*[1.0] * 120, *[300.0] * 60)
    assert found.standby(now) == pytest.approx(1.25)


def test_what_is_not_known_counts_as_idle() -> None:
    found, now = usual(*[8.0] * 60)
    assert found.standby(now) == 0.0
    assert usual()[0].standby(now) == 0.0


def test_the_usual_ends_a_quarter_of_an_hour_later() -> None:
    found, now = usual(*[8.0] * 180)
    assert found.standby(now + HALF_HOUR_SECONDS / 2 - 60) == pytest.approx(10.0)
    assert found.standby(now + HALF_HOUR_SECONDS / 2 + 60) == 0.0


@pytest.mark.parametrize("period_seconds", [2.0, 9.9, 29.0])
def test_it_does_not_matter_how_often_is_reported(period_seconds: float) -> None:
    count = int(HALF_HOUR_SECONDS / period_seconds)
    found, now = usual(*[4.0] * count, period_seconds=period_seconds)
    assert found.standby(now) == pytest.approx(5.0)
    assert len(found._needed) <= HALF_HOUR_SECONDS / 30
