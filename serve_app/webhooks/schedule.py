"""The retry schedule of webhooks."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_FOR_SECONDS = 3 * 24 * 3600.0

_MINUTE, _HOUR = 60.0, 3600.0
_DELAYS = (
    *(5.0, 30.0, 2 * _MINUTE, 10 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, 24 * _HOUR),
)
# Spreads the retries to receivers that failed at the same time.
_JITTER = 0.2
_MAX_RETRY_AFTER_SECONDS = _HOUR


def delay_seconds(
    failures: int, jitter: float, retry_after_seconds: float = 0.0
) -> float:
    """Return the delay before the next attempt after `failures` of them, at least 1.

    `jitter`, 0 to 1, is the jitter, which changes the delay by up to a fifth.
    `retry_after_seconds` is the Retry-After of the receiver; at most an hour counts.
    """
    usual = _DELAYS[min(failures, len(_DELAYS)) - 1]
    return max(
        usual * (1 - _JITTER + 2 * _JITTER * jitter),
        min(retry_after_seconds, _MAX_RETRY_AFTER_SECONDS),
    )


def retry_after_seconds(retry_after: str, now: datetime) -> float:
    """Return the seconds of a `Retry-After` header (RFC 9110), 0 if it is invalid."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    # "-0000" is UTC too, but is parsed as a time without a zone.
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
