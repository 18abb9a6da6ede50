from datetime import date

import pytest

from serve_app.errors import InvalidInput
from serve_app.usage.store import Period, period_of

TODAY = date(2026, 11, 20)


def test_a_period_is_the_last_thirty_days_unless_it_is_named() -> None:
    assert period_of(None, None, TODAY) == Period(date(2026, 10, 21), TODAY)
    first, last = date(2026, 1, 1), date(2026, 1, 31)
    assert period_of(first, last, TODAY) == Period(first, last)
    assert period_of(None, last, TODAY) == Period(first, last)


def test_a_period_does_not_end_before_it_begins() -> None:
    with pytest.raises(InvalidInput, match="`from` must not be after `to`"):
        Period(TODAY, date(2026, 11, 19))
