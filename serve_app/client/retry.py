"""Retries with exponential backoff."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from serve_app.errors import AppError

Result = TypeVar("Result")
Pause = Callable[[float], None]
OnRetry = Callable[[AppError, float], None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often to retry and how long to wait: each delay is twice the one before.

    A call makes at most `tries` attempts in a row. A server that has responded before
    and is then unreachable, as during a restart, is retried for `patience_seconds`,
    however many attempts that takes; for `job_patience_seconds` once it has accepted a
    job, which continues when the server is back. A server that has never responded gets
    at most `first_contact_tries` attempts: its address is probably wrong.
    """

    tries: int = 6
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 5.0
    patience_seconds: float = 60.0
    job_patience_seconds: float = 300.0
    first_contact_tries: int = 3

    def delay_seconds(self, failures: int) -> float:
        """Return the delay after `failures` failed attempts in a row."""
        # The exponent is bounded: 2.0 ** 1024 overflows a float.
        doublings = min(failures - 1, 30)
        delay = self.first_delay_seconds * 2.0**doublings
        return min(delay, self.longest_delay_seconds)


class TryAgain(Exception):
    """A retryable failure of an attempt; `error` is raised if no retry is left.

    `after_seconds` is the delay that the server asked for. `has_progressed` is true for
    a download that received some bytes, and for a stream that was open for a while.
    `is_unavailable` is true if the server did not respond or is not ready, or a gateway
    responded for it, or a stream ended early.
    """

    def __init__(
        self,
        error: AppError,
        after_seconds: float = 0.0,
        has_progressed: bool = False,
        is_unavailable: bool = False,
    ) -> None:
        super().__init__(error, after_seconds, has_progressed, is_unavailable)
        self.error = error
        self.after_seconds = after_seconds
        self.has_progressed = has_progressed
        self.is_unavailable = is_unavailable


def retrying(
    attempt: Callable[[], Result],
    policy: RetryPolicy,
    pause: Pause,
    on_retry: OnRetry | None = None,
) -> Result:
    """Return what `attempt` returns, retrying it while it raises TryAgain.

    Each delay is longer than the last, and at least what the server asked for. An
    attempt that made progress resets the count. Raises the last attempt's error after
    `policy.tries` attempts, or, if the server is unavailable, after
    `policy.patience_seconds` if that is later.
    """
    streak = Streak(policy)
    while True:
        began = time.monotonic()
        try:
            return attempt()
        except TryAgain as again:
            delay = streak.delay_seconds(again, time.monotonic() - began)
            if delay is None:
                raise again.error from again.__cause__
            if on_retry is not None:
                on_retry(again.error, delay)
            pause(delay)


class Streak:
    """Failed attempts in a row, and the time spent on them.

    `delay_of` returns the delay after a number of them; by default as the policy says.
    """

    def __init__(
        self, policy: RetryPolicy, delay_of: Callable[[int], float] | None = None
    ) -> None:
        self._policy = policy
        self._delay_of = delay_of or policy.delay_seconds
        self._failures = 0
        self._lost_seconds = 0.0

    def delay_seconds(self, again: TryAgain, took_seconds: float) -> float | None:
        """Count a failure; return the delay before the next attempt, None to stop."""
        if again.has_progressed:
            self._failures, self._lost_seconds = 0, 0.0
        else:
            self._lost_seconds += took_seconds
        self._failures += 1
        delay = self._delay_of(self._failures)
        if self._failures >= self._policy.tries:
            left_seconds = self._policy.patience_seconds - self._lost_seconds
            if not again.is_unavailable or left_seconds <= 0:
                return None
            # The last attempt is made when `patience_seconds` end, not before.
            delay = min(delay, left_seconds)
        delay = max(delay, again.after_seconds)
        self._lost_seconds += delay
        return delay


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """Return the seconds in a Retry-After header, given as a number or a date.

    Returns 0 for a missing or an invalid header, and at most 3600.
    """
    if header is None:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        seconds = _seconds_until(header, now)
    return min(max(seconds, 0.0), 3600.0) if seconds == seconds else 0.0


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    return (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
