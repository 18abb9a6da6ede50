import pytest

from serve_app.api import ranges
from serve_app.api.ranges import ByteRange
from serve_app.errors import RangeNotSatisfiable


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
        "bytes=" + "9" * 100 + "-",
    ],
)
def test_what_is_no_single_range_gets_the_whole_file(header: str) -> None:
    assert ranges.parse(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size_bytes"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
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
