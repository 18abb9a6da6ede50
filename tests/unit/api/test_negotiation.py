"""Clients get what they prefer."""

import pytest
from starlette.datastructures import Headers

from serve_app.api import negotiation

CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("accept", "is_preferred"),
    [
        (CHROMIUM, True),
        ("text/html", True),
        ("TEXT/HTML; Q=0.3", True),
        ("text/*, application/*;q=0.9", True),
        ("text/html;q=0.9, application/json;q=0.8", True),
        ("*/*;q=0.1, text/html;q=0.2", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0", False),
        ("text/html;q=2, */*;q=0.1", False),
        ("text/html;q=x", False),
        ("text/plain", False),
        (",;,;q=1", False),
    ],
)
def test_html_is_for_those_who_prefer_it(accept: str, is_preferred: bool) -> None:
    headers = Headers({"accept": accept})
    found = negotiation.prefers(headers, "text/html", "application/json")
    assert found is is_preferred


def test_without_the_header_nothing_is_preferred() -> None:
    assert not negotiation.prefers(Headers({}), "text/html", "application/json")


def test_a_header_that_is_sent_twice_is_one_list() -> None:
    lines = [(b"accept", b"application/json;q=0.5"), (b"accept", b"text/html")]
    headers = Headers(raw=lines)
    assert negotiation.prefers(headers, "text/html", "application/json")


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0.5, gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.5", "br"),
        ("BR", "br"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("br;q=0, gzip;q=0", "identity"),
        ("identity, br;q=0.5", "identity"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("", "identity"),
        ("zstd", "identity"),
        ("identity;q=0", "identity"),
        ("br;q=1.5", "identity"),
    ],
)
def test_a_file_has_the_coding_that_its_client_prefers(
    accept: str, coding: str
) -> None:
    headers = Headers({"accept-encoding": accept})
    assert negotiation.coding(headers, ("br", "gzip")) == coding


def test_what_has_no_codings_is_sent_as_it_is() -> None:
    assert negotiation.coding(Headers({"accept-encoding": "br"}), ()) == "identity"
