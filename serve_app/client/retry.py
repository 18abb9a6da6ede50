"""When to try again, and how long to wait before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from serve_app.errors import AppError

Result = TypeVar("Result")
Pause = Callable[[float], None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try, and how the waits between tries grow: each twice the last."""

    tries: int = 6
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 30.0

    def delay_seconds(self, failures: int) -> float:
        """Return the wait after so many failures in a row."""
        # Bounded before it is raised: a float holds no 2 ** 1024.
        doublings = min(failures - 1, 30)
        delay = self.first_delay_seconds * 2.0**doublings
        return min(delay, self.longest_delay_seconds)


class TryAgain(Exception):
    """A try failed in a way that may pass; `error` is what to raise if it does not."""

    def __init__(
        self,
        error: AppError,
        after_seconds: float = 0.0,
        has_progressed: bool = False,
    ) -> None:
        super().__init__(error, after_seconds, has_progressed)
        self.error = error
        self.after_seconds = after_seconds
        self.has_progressed = has_progressed


def retrying(
    attempt: Callable[[], Result], policy: RetryPolicy, pause: Pause
) -> Result:
    """Return what `attempt` returns, tried anew while it raises TryAgain.

    Waits longer each time, and at least as long as the server asked. Tries that got
    somewhere are not counted. Raises the last try's error after `policy.tries`.
    """
    failures = 0
    while True:
        try:
            return attempt()
        except TryAgain as again:
            failures = 1 if again.has_progressed else failures + 1
            if failures >= policy.tries:
                raise again.error from again.__cause__
            pause(max(policy.delay_seconds(failures), again.after_seconds))


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
