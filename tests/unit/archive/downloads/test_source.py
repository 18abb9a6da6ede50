"""How long a source wants to be left alone."""

from datetime import UTC, datetime

import pytest

from serve_app.archive.downloads.source import retry_after_seconds

NOW = datetime(2026, 11, 2, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 60),
        ("nonsense", 60),
        ("-5", 60),
        ("1.5", 60),
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("99999999999999999999", 3600),
        ("Mon, 02 Nov 2026 08:02:00 GMT", 120),
        ("Mon, 02 Nov 2026 08:02:00", 120),
        ("Mon, 02 Nov 2026 07:00:00 GMT", 1),
        ("Mon, 02 Nov 2037 08:00:00 GMT", 3600),
        ("٣", 60),
    ],
)
def test_a_delay_is_a_number_or_a_date_within_bounds(
    header: str, seconds: float
) -> None:
    assert retry_after_seconds(header, NOW) == seconds
