"""A file received in several responses is one version of it, whole."""

import io

import pytest

from serve_app.outbound.partial_file import ByteRange, PartialFile, WrongRange

TAG = '"one"'


def cut(headers: dict[str, str], size_bytes: int = 4) -> PartialFile:
    """Return a file whose first response was cut after so many bytes."""
    partial = PartialFile(io.BytesIO())
    partial.begin(200, headers)
    partial.write(b"x" * size_bytes)
    return partial


def test_the_first_request_is_for_all_bytes() -> None:
    headers = PartialFile(io.BytesIO()).request_headers()
    assert headers == {"Accept-Encoding": "identity"}


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"etag": TAG, "last-modified": "Mon"}, TAG),
        ({"etag": 'W/"one"', "last-modified": "Mon"}, "Mon"),
        ({"last-modified": "Mon"}, "Mon"),
    ],
)
def test_the_rest_is_requested_of_the_same_version(
    headers: dict[str, str], version: str
) -> None:
    asked = cut(headers).request_headers()
    assert (asked["Range"], asked["If-Range"]) == ("bytes=4-", version)


@pytest.mark.parametrize("headers", [{}, {"etag": 'W/"one"'}])
def test_without_an_exact_version_all_bytes_are_requested(
    headers: dict[str, str],
) -> None:
    assert "Range" not in cut(headers).request_headers()


def test_the_rest_is_appended() -> None:
    partial = cut({"etag": TAG, "content-length": "6"})
    assert not partial.is_whole
    partial.begin(206, {"content-range": "bytes 4-5/6"})
    partial.write(b"yz")
    assert (partial.size_bytes, partial.is_whole) == (6, True)


def test_a_response_with_all_bytes_replaces_them() -> None:
    partial = cut({"etag": TAG})
    partial.begin(200, {"etag": '"two"'})
    partial.write(b"y")
    assert partial.size_bytes == 1
    assert partial.request_headers()["If-Range"] == '"two"'


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ({"etag": TAG}, {"etag": '"two"'}),
        ({"etag": 'W/"a"', "last-modified": "Mon"}, {"last-modified": "Tue"}),
        ({"etag": TAG, "content-length": "9"}, {"etag": TAG}),
    ],
)
def test_the_rest_of_another_version_is_not_taken(
    first: dict[str, str], rest: dict[str, str]
) -> None:
    partial = cut(first)
    with pytest.raises(WrongRange, match="changed"):
        partial.begin(206, {"content-range": "bytes 4-5/6", **rest})
    assert partial.size_bytes == 0
    assert "Range" not in partial.request_headers()


@pytest.mark.parametrize("rest", [{}, {"etag": 'W/"b"'}])
def test_the_rest_need_not_state_its_version(rest: dict[str, str]) -> None:
    partial = cut({"last-modified": "Mon"})
    partial.begin(206, {"content-range": "bytes 4-5/6", **rest})
    assert partial.size_bytes == 4


def test_a_version_that_cannot_be_sent_back_is_none() -> None:
    assert "Range" not in cut({"etag": '"caf\u00e9"'}).request_headers()


def test_numbers_of_any_length_are_no_crash() -> None:
    digits = "9" * 5000
    assert cut({"content-length": digits}).total_bytes is None
    for content_range in (f"bytes {digits}-5/6", f"bytes 4-5/{digits}"):
        with pytest.raises(WrongRange):
            cut({"etag": TAG}).begin(206, {"content-range": content_range})


@pytest.mark.parametrize(
    "content_range", ["", "bytes 3-5/6", "bytes 40-45/46", "bytes */6", "pages 4-5/6"]
)
def test_another_range_than_the_rest_is_not_taken(content_range: str) -> None:
    partial = cut({"etag": TAG})
    with pytest.raises(WrongRange, match="from 4 on"):
        partial.begin(206, {"content-range": content_range})
    assert partial.size_bytes == 0
    assert "Range" not in partial.request_headers()


def test_a_part_of_the_rest_is_not_the_whole() -> None:
    partial = cut({"etag": TAG})
    partial.begin(206, {"content-range": "bytes 4-4/6"})
    partial.write(b"y")
    assert not partial.is_whole
    assert partial.request_headers()["Range"] == "bytes=5-"


def test_a_file_of_unknown_size_is_whole_when_its_response_ends() -> None:
    assert cut({}).is_whole


def test_a_file_of_another_process_is_continued() -> None:
    file = io.BytesIO(b"xxxx")
    file.seek(4)
    partial = PartialFile(file, version=TAG, total_bytes=6)
    asked = partial.request_headers()
    assert (asked["Range"], asked["If-Range"]) == ("bytes=4-", TAG)
    partial.begin(206, {"content-range": "bytes 4-5/6", "etag": TAG})
    partial.write(b"yz")
    assert (file.getvalue(), partial.is_whole) == (b"xxxxyz", True)


def test_bytes_without_a_version_are_not_continued() -> None:
    file = io.BytesIO(b"xxxx")
    file.seek(4)
    partial = PartialFile(file)
    assert "Range" not in partial.request_headers()
    partial.begin(200, {"content-length": "2"})
    assert file.getvalue() == b""


def test_a_range_is_requested_and_continued_inside_its_file() -> None:
    partial = PartialFile(io.BytesIO(), ByteRange(100, 10))
    asked = partial.request_headers()
    assert (asked["Range"], "If-Range" in asked) == ("bytes=100-109", False)
    partial.begin(206, {"content-range": "bytes 100-109/900", "etag": TAG})
    partial.write(b"x" * 4)
    assert (partial.expected_bytes, partial.is_whole) == (10, False)
    asked = partial.request_headers()
    assert (asked["Range"], asked["If-Range"]) == ("bytes=104-109", TAG)
    partial.begin(206, {"content-range": "bytes 104-109/900", "etag": TAG})
    partial.write(b"x" * 6)
    assert partial.is_whole


@pytest.mark.parametrize(
    ("status", "content_range"), [(200, ""), (206, "bytes 0-9/900")]
)
def test_a_range_is_not_taken_from_elsewhere(status: int, content_range: str) -> None:
    partial = PartialFile(io.BytesIO(), ByteRange(100, 10))
    with pytest.raises(WrongRange):
        partial.begin(status, {"content-range": content_range})
