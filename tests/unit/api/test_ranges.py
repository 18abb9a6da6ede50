from datetime import UTC, datetime, timedelta

import pytest

from serve_app.api import ranges
from serve_app.api.ranges import ByteRange
from serve_app.errors import PreconditionFailed, RangeNotSatisfiable

MODIFIED_AT = datetime(2026, 11, 27, 8, 0, 0, 654_321, UTC)
DATE, EARLIER, LATER = (
    ranges.http_date(MODIFIED_AT + timedelta(seconds=each)) for each in (0, -1, 1)
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=2-", ByteRange(2, 10)),
        ("bytes=9-9", ByteRange(9, 10)),
        ("bytes=5-999", ByteRange(5, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-999", ByteRange(0, 10)),
        ("Bytes= 1-2 ", ByteRange(1, 3)),
        ("bytes=2-" + "9" * 5000, ByteRange(2, 10)),
        ("bytes=-" + "9" * 5000, ByteRange(0, 10)),
        ("bytes=" + "0" * 5000 + "2-4", ByteRange(2, 5)),
    ],
)
def test_a_range_of_a_file_is_read(header: str, expected: ByteRange) -> None:
    assert ranges.parse(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,4-5",
        "bytes=5-2",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=1-٣",
        "items=0-1",
        "0-1",
        "",
    ],
)
def test_what_is_no_single_range_gets_the_whole_file(header: str) -> None:
    assert ranges.parse(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [
        ("bytes=10-", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=" + "9" * 5000 + "-", 10),
    ],
)
def test_a_range_outside_the_file_is_refused(header: str, size_bytes: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        ranges.parse(header, size_bytes)
    assert caught.value.size_bytes == size_bytes


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        ('"v1"', ByteRange(0, 5)),
        ('"v2"', None),
        ('W/"v1"', None),
        ("Fri, 20 Nov", None),
    ],
)
def test_a_range_of_another_version_gets_the_whole_file(
    condition: str, part: ByteRange | None
) -> None:
    headers = {"range": "bytes=0-4", "if-range": condition}
    assert ranges.requested(headers, 10, '"v1"') == part


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ('"v1"', True),
        ('W/"v1"', True),
        ('"v0", "v1"', True),
        ("*", True),
        ('"v0"', False),
        ("v1", False),
        (None, False),
    ],
)
def test_a_version_that_the_client_has_is_recognised(
    known: str | None, expected: bool
) -> None:
    headers = {} if known is None else {"if-none-match": known}
    assert ranges.is_unchanged(headers, '"v1"') is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-1", True),
        ("bytes=-5", True),
        ("bytes=5-", True),
        ("bytes=-", False),
        ("bytes=0-1,2-3", False),
        ("items=0-1", False),
    ],
)
def test_one_range_is_told_from_several(header: str, expected: bool) -> None:
    assert ranges.is_single(header) is expected


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        (DATE, ByteRange(0, 5)),
        (f" {DATE} ", ByteRange(0, 5)),
        ('"v1"', ByteRange(0, 5)),
        # A date must be that of the version, neither older nor newer.
        (EARLIER, None),
        (LATER, None),
        ('"v2"', None),
    ],
)
def test_a_range_of_the_version_of_a_date_is_read(
    condition: str, part: ByteRange | None
) -> None:
    headers = {"range": "bytes=0-4", "if-range": condition}
    assert ranges.requested(headers, 10, '"v1"', MODIFIED_AT) == part


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"if-modified-since": DATE}, True),
        ({"if-modified-since": LATER}, True),
        ({"if-modified-since": EARLIER}, False),
        ({"if-modified-since": "yesterday"}, False),
        # The tag counts if there is one.
        ({"if-modified-since": DATE, "if-none-match": '"v0"'}, False),
        ({"if-modified-since": EARLIER, "if-none-match": '"v1"'}, True),
    ],
)
def test_a_version_that_the_client_has_is_recognised_by_its_date(
    headers: dict[str, str], expected: bool
) -> None:
    assert ranges.is_unchanged(headers, '"v1"', MODIFIED_AT) is expected


@pytest.mark.parametrize(
    ("headers", "is_met"),
    [
        ({}, True),
        ({"if-match": '"v0", "v1"'}, True),
        ({"if-match": "*"}, True),
        ({"if-match": '"v0"'}, False),
        ({"if-match": 'W/"v1"'}, False),
        ({"if-unmodified-since": DATE}, True),
        ({"if-unmodified-since": EARLIER}, False),
        ({"if-unmodified-since": "yesterday"}, True),
        ({"if-unmodified-since": EARLIER, "if-match": '"v1"'}, True),
    ],
)
def test_a_request_for_another_version_is_refused(
    headers: dict[str, str], is_met: bool
) -> None:
    if is_met:
        ranges.check_preconditions(headers, '"v1"', MODIFIED_AT)
        return
    with pytest.raises(PreconditionFailed):
        ranges.check_preconditions(headers, '"v1"', MODIFIED_AT)
