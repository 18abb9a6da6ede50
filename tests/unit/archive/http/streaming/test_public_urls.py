"""URLs of this server are known, with its prefix and whatever ends TLS before it."""

import pytest

from serve_app.archive.http.streaming import public_urls
from serve_app.archive.http.streaming.public_urls import PublicUrls


def of_request(public_url: str = "", **scope: str) -> PublicUrls:
    headers = [(b"host", b"here:8001")]
    asked = {"type": "http", "scheme": "http", "headers": headers, **scope}
    return public_urls.of_request(asked, public_url)


def test_without_a_setting_the_base_is_where_the_request_was_sent() -> None:
    url = of_request(root_path="/arch/").proxied("https://a.example/x?y=1&z=%2F")
    assert url == (
        "http://here:8001/arch/proxy?url=https%3A%2F%2Fa.example%2Fx%3Fy%3D1%26z%3D%252F"
    )


def test_the_operators_base_is_what_players_get() -> None:
    urls = of_request("https://media.example.com/arch/")
    assert urls.proxied("x") == "https://media.example.com/arch/proxy?url=x"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://media.example.com/arch/media/1/ep2/a.mp4", "/media/1/ep2/a.mp4"),
        ("HTTP://MEDIA.example.com/arch/media/a%20b", "/media/a b"),
        ("https://media.example.com:443/arch/media/a", "/media/a"),
        ("http://here:8001/media/a", "/media/a"),
        ("https://here:8001/media/a?x=1", "/media/a"),
        ("https://media.example.com/media/a", None),
        ("https://media.example.com/archive/media/a", None),
        ("https://media.example.com:8443/arch/media/a", None),
        ("http://here/media/a", None),
        ("http://here:8001@evil.example/media/a", None),
        ("http://evil.example/here:8001/media/a", None),
        ("ftp://here:8001/media/a", None),
        ("http://here:port/media/a", None),
        ("//here:8001/media/a", None),
        ("", None),
    ],
)
def test_our_own_urls_are_told_from_others(url: str, path: str | None) -> None:
    assert of_request("https://media.example.com/arch").own_path(url) == path
