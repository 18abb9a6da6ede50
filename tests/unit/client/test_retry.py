"""Retries: delays grow, and are at least what the server asked for."""

from datetime import UTC, datetime

import pytest

from serve_app.client.retry import (
    RetryPolicy,
    TryAgain,
    retry_after_seconds,
    retrying,
)
from serve_app.errors import Unavailable

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ERROR = Unavailable("not now")


class Tries:
    """Raises the given errors, then succeeds."""

    def __init__(self, *failures: TryAgain) -> None:
        self.failures = list(failures)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def test_waits_double_up_to_the_longest() -> None:
    policy = RetryPolicy(first_delay_seconds=1.0, longest_delay_seconds=5.0)
    delays = [policy.delay_seconds(failures) for failures in (1, 2, 3, 4, 5_000)]
    assert delays == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_last_error_is_raised_after_all_tries() -> None:
    tries = Tries(*[TryAgain(ERROR)] * 9)
    pauses: list[float] = []
    with pytest.raises(Unavailable, match="not now"):
        retrying(tries, RetryPolicy(tries=3), pauses.append)
    assert tries.count == 3
    assert pauses == [0.5, 1.0]


def test_waits_at_least_as_long_as_the_server_asks() -> None:
    pauses: list[float] = []
    tries = Tries(TryAgain(ERROR, after_seconds=7.0))
    assert retrying(tries, RetryPolicy(), pauses.append) == "done"
    assert pauses == [7.0]


def test_tries_that_got_somewhere_are_not_counted() -> None:
    tries = Tries(*[TryAgain(ERROR, has_progressed=True)] * 20)
    assert retrying(tries, RetryPolicy(tries=2), lambda _: None) == "done"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("3", 3.0),
        ("1.5", 1.5),
        ("-4", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("999999999", 3600.0),
        ("Fri, 20 Nov 2026 12:00:09 GMT", 9.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 12:00:09 -0000", 9.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    header: str | None, seconds: float
) -> None:
    assert retry_after_seconds(header, NOW) == seconds
