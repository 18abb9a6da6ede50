"""When to try again, and how long to wait before."""

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
    """How often to try, and how the waits between tries grow: each twice the last.

    A server that has answered before and then is away, as during its restart, is tried
    for `patience_seconds`, however many tries that takes; `job_patience_seconds` if it
    has accepted a job, which goes on when the server is back. One that never answered
    is tried at most `first_contact_tries` times: its address is probably wrong.
    """

    tries: int = 6
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 5.0
    patience_seconds: float = 60.0
    job_patience_seconds: float = 300.0
    first_contact_tries: int = 3

    def delay_seconds(self, failures: int) -> float:
        """Return the wait after so many failures in a row."""
        # Bounded before it is raised: a float holds no 2 ** 1024.
        doublings = min(failures - 1, 30)
        delay = self.first_delay_seconds * 2.0**doublings
        return min(delay, self.longest_delay_seconds)


class TryAgain(Exception):
    """A try failed in a way that may pass; `error` is what to raise if it does not.

    `is_away` says that the server did not answer, or that a gateway answered for it.
    """

    def __init__(
        self,
        error: AppError,
        after_seconds: float = 0.0,
        has_progressed: bool = False,
        is_away: bool = False,
    ) -> None:
        super().__init__(error, after_seconds, has_progressed, is_away)
        self.error = error
        self.after_seconds = after_seconds
        self.has_progressed = has_progressed
        self.is_away = is_away


def retrying(
    attempt: Callable[[], Result],
    policy: RetryPolicy,
    pause: Pause,
    on_retry: OnRetry | None = None,
) -> Result:
    """Return what `attempt` returns, tried anew while it raises TryAgain.

    Waits longer each time, and at least as long as the server asked. Tries that got
    somewhere are not counted. Raises the last try's error after `policy.tries`, or
    where the server is away after `policy.patience_seconds` if that is later.
    """
    streak = _Streak(policy)
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


class _Streak:
    """Failures in a row, and the time that they have cost."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._lost_seconds = 0.0

    def delay_seconds(self, again: TryAgain, took_seconds: float) -> float | None:
        """Count a failure; return the wait before the next try, None if none is due."""
        if again.has_progressed:
            self._failures, self._lost_seconds = 0, 0.0
        else:
            self._lost_seconds += took_seconds
        self._failures += 1
        delay = self._policy.delay_seconds(self._failures)
        if self._failures >= self._policy.tries:
            left_seconds = self._policy.patience_seconds - self._lost_seconds
            if not again.is_away or left_seconds <= 0:
                return None
            # The last try is made when patience ends, not before.
            delay = min(delay, left_seconds)
        delay = max(delay, again.after_seconds)
        self._lost_seconds += delay
        return delay


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """Return the wait that a Retry-After header asks for, in seconds or as a date.

    A header that is neither asks for none, and none asks for over an hour.
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
