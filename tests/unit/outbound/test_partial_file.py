"""A file received in several responses is one version of it, whole."""

import io

import pytest

from serve_app.outbound.partial_file import PartialFile, WrongRange

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
