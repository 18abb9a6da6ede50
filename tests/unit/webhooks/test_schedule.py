"""Retries come soon at first, then rarely, and end after three days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.webhooks.schedule import (
    RETRY_FOR_SECONDS,
    delay_seconds,
    retry_after_seconds,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY = 3600, 24 * 3600
USUAL = [5, 30, 120, 600, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY, DAY]

lucks = st.floats(0, 1)


@pytest.mark.parametrize(("failures", "seconds"), list(enumerate(USUAL, 1)))
def test_in_the_middle_of_luck_it_is_the_usual_delay(
    failures: int, seconds: float
) -> None:
    assert delay_seconds(failures, 0.5) == pytest.approx(seconds)


@given(st.integers(1, 1000), lucks)
def test_jitter_shifts_a_delay_by_a_fifth_at_most(failures: int, jitter: float) -> None:
    usual = USUAL[min(failures, len(USUAL)) - 1]
    assert 0.799 * usual < delay_seconds(failures, jitter) < 1.201 * usual


@given(st.lists(lucks, min_size=30, max_size=30))
def test_a_message_is_tried_for_two_to_three_days_and_not_for_ever(
    jitter: list[float],
) -> None:
    passed, tries = 0.0, 1
    while (delay := delay_seconds(tries, jitter[tries])) + passed <= RETRY_FOR_SECONDS:
        passed, tries = passed + delay, tries + 1
    assert 10 <= tries <= 13
    assert 2 * DAY - 15 * HOUR < passed <= 3 * DAY


@given(st.integers(1, 20), lucks, st.floats(0, 1e12))
def test_a_wish_is_granted_up_to_an_hour(
    failures: int, jitter: float, retry_after: float
) -> None:
    delay = delay_seconds(failures, jitter, retry_after)
    assert delay >= min(retry_after, HOUR)
    assert delay in (delay_seconds(failures, jitter), min(retry_after, HOUR))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("120", 120),
        ("soon", 0),
        ("-5", 0),
        ("9" * 400, float("inf")),
        ("Fri, 20 Nov 2026 12:02:00 GMT", 120),
        ("Fri, 20 Nov 2026 12:02:00 -0000", 120),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 20 Nov 99999 11:00:00 GMT", 0),
    ],
)
def test_a_wish_is_read_as_seconds_or_as_a_date(text: str, seconds: float) -> None:
    assert retry_after_seconds(text, NOON) == seconds


def test_a_date_is_counted_from_now() -> None:
    later = NOON + timedelta(seconds=60)
    assert retry_after_seconds("Fri, 20 Nov 2026 12:02:00 GMT", later) == 60
