"""When a webhook that could not be delivered is tried again."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

PATIENCE_SECONDS = 3 * 24 * 3600.0

_MINUTE, _HOUR = 60.0, 3600.0
_DELAYS = (
    *(5.0, 30.0, 2 * _MINUTE, 10 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, 24 * _HOUR),
)
# Receivers that were away together are not asked together.
_JITTER = 0.2
_LONGEST_WISH_SECONDS = _HOUR


def delay_seconds(failures: int, luck: float, wish_seconds: float = 0.0) -> float:
    """Return how long to wait after so many `failures`, the first being 1.

    `luck`, 0 to 1, shifts it by up to a fifth. `wish_seconds` is how long the receiver
    has asked for, an hour of which is granted.
    """
    usual = _DELAYS[min(failures, len(_DELAYS)) - 1]
    return max(
        usual * (1 - _JITTER + 2 * _JITTER * luck),
        min(wish_seconds, _LONGEST_WISH_SECONDS),
    )


def wish_seconds(retry_after: str, now: datetime) -> float:
    """Return how long a `Retry-After` asks to wait (RFC 9110); 0 for none."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    # "-0000" is UTC too, but comes without a zone.
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
