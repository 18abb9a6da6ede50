"""What strangers have us ask: never anything of our own network, in any disguise."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from threading import Thread

import httpcore
import pytest

from serve_app.errors import Cancelled, RefusedUrl, UnreachableUrl
from serve_app.outbound import urls
from serve_app.outbound.addresses import Address, is_public
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules
from tests.hostile import HOSTILE, NAMES, PUBLIC, Listener, asker


@pytest.fixture
def inner() -> Iterator[Listener]:
    """A server of our own network that nobody may reach."""
    listener = Listener("127.0.0.1")
    yield listener
    listener.close()


@pytest.fixture
def outer(inner: Listener) -> Iterator[Listener]:
    listener = Listener(PUBLIC, inner.port)
    yield listener
    listener.close()


def get(asker: OutboundClient, url: str) -> tuple[int, bytes]:
    with asker.get(url, {}, time.monotonic() + 5) as answer:
        return answer.status, b"".join(answer.body)


def test_the_table_is_long_enough() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused_before_a_byte_is_sent(
    inner: Listener, outer: Listener, url: str
) -> None:
    address = url.replace("{port}", str(inner.port))
    with pytest.raises(RefusedUrl):
        get(asker(inner.port), address)
    with (
        pytest.raises(RefusedUrl),
        asker(inner.port).post(address, {}, b"hook", time.monotonic() + 5),
    ):
        pass
    assert inner.reached == []
    assert outer.reached == []


def test_a_public_server_is_asked(inner: Listener, outer: Listener) -> None:
    url = f"http://good.example:{inner.port}/a%20b?c=d#e"
    assert get(asker(inner.port), url) == (200, b"song")
    assert outer.reached[1] == "/a%20b?c=d"
    assert inner.reached == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:{port}/",
        "http://evil.example:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "//2130706433:{port}/",
        "file:///etc/passwd",
        "http://169.254.169.254/",
    ],
)
def test_every_redirect_is_checked_again(
    inner: Listener, outer: Listener, status: int, where: str
) -> None:
    there = where.replace("{port}", str(inner.port))
    outer.answers.append((status, {"Location": there}, b""))
    with pytest.raises(RefusedUrl):
        get(asker(inner.port), f"http://good.example:{inner.port}/")
    assert inner.reached == []


def test_redirects_are_followed_but_not_for_ever(
    inner: Listener, outer: Listener
) -> None:
    asking = asker(inner.port)
    outer.answers += [(302, {"Location": f"/{number}"}, b"") for number in range(5)]
    assert get(asking, f"http://good.example:{inner.port}/") == (200, b"song")
    outer.answers += [(302, {"Location": f"/{number}"}, b"") for number in range(6)]
    with pytest.raises(RefusedUrl, match="more than 5"):
        get(asking, f"http://good.example:{inner.port}/")


def test_a_post_follows_no_redirect(inner: Listener, outer: Listener) -> None:
    there = {"Location": f"http://good.example:{inner.port}/there"}
    outer.answers.append((307, there, b""))
    asking = asker(inner.port)
    url = f"http://good.example:{inner.port}/here"
    with asking.post(url, {}, b"hook", time.monotonic() + 5) as answer:
        assert answer.status == 307
    assert outer.reached[1:] == ["/here", "hook"]


def test_a_name_that_changes_its_answer_gains_nothing(
    inner: Listener, outer: Listener
) -> None:
    """What is checked is what is connected to: the name is asked once."""
    answers = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address(text) for text in answers.pop(0)]

    rules = UrlRules(("http",), (), (inner.port,))
    network = CheckedNetwork(resolve, lambda one: str(one) == PUBLIC)
    url = f"http://rebind.example:{inner.port}/"
    assert get(OutboundClient(rules, network), url) == (200, b"song")
    assert asked == ["rebind.example"]
    with pytest.raises(RefusedUrl):
        get(OutboundClient(rules, network), url)
    assert inner.reached == []


def test_only_allowed_hosts_are_asked(inner: Listener, outer: Listener) -> None:
    names = {**NAMES, "cdn.good.example": [PUBLIC], "notgood.example": [PUBLIC]}
    asking = asker(inner.port, hosts=("*.good.example",), names=names)
    assert get(asking, f"http://cdn.good.example:{inner.port}/")[0] == 200
    for host in ("good.example", "notgood.example", "good.example.evil.example"):
        with pytest.raises(RefusedUrl, match="not one that this server allows"):
            get(asking, f"http://{host}:{inner.port}/")


def test_a_server_that_drips_is_cut_off_in_time(
    inner: Listener, outer: Listener
) -> None:
    outer.answers.append((200, {}, b"x" * 5_000_000))
    asking = asker(inner.port)
    url = f"http://good.example:{inner.port}/"
    deadline = time.monotonic() + 0.3
    with asking.get(url, {}, deadline) as answer:
        next(answer.body)
        time.sleep(0.4)
        with pytest.raises(httpcore.ReadTimeout):
            next(answer.body)


def test_a_deadline_can_be_moved_with_each_chunk(
    inner: Listener, outer: Listener
) -> None:
    outer.answers.append((200, {}, b"x" * 5_000_000))
    url = f"http://good.example:{inner.port}/"
    size_bytes = 0
    began = time.monotonic()
    with asker(inner.port).get(url, {}, began + 0.3) as answer:
        for chunk in answer.body:
            size_bytes += len(chunk)
            answer.prolong(time.monotonic() + 0.3)
            time.sleep(0.01)
    assert size_bytes == 5_000_000
    assert time.monotonic() - began > 0.3


def test_a_request_that_is_not_wanted_ends_while_nothing_comes(inner: Listener) -> None:
    began = time.monotonic()
    url = f"http://good.example:{inner.port}/"

    def is_wanted() -> bool:
        return time.monotonic() < began + 0.3

    with (
        dripping(PUBLIC, inner.port),
        pytest.raises(Cancelled),
        asker(inner.port).get(url, {}, began + 60, is_wanted),
    ):
        pass
    assert time.monotonic() - began < 3


@contextmanager
def dripping(host: str, port: int) -> Iterator[None]:
    """A server that sends a head without end, a byte now and then."""
    with socket.create_server((host, port)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 X\r\nX: ")
                while True:
                    time.sleep(0.02)
                    connection.sendall(b"x")

        thread = Thread(target=talk)
        thread.start()
        yield
        thread.join()


def test_a_server_that_drips_its_head_is_cut_off_in_time(inner: Listener) -> None:
    start = time.monotonic()
    url = f"http://good.example:{inner.port}/"
    with (
        dripping(PUBLIC, inner.port),
        pytest.raises(UnreachableUrl),
        asker(inner.port).post(url, {}, b"hook", start + 0.3),
    ):
        pass
    assert time.monotonic() - start < 3


def test_a_post_that_nobody_takes_is_unreachable(inner: Listener) -> None:
    url = f"http://good.example:{inner.port}/"
    with (
        pytest.raises(UnreachableUrl, match="The URL is unreachable"),
        asker(inner.port).post(url, {}, b"hook", time.monotonic() + 5),
    ):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8787/hook",
        "http://[::1]:8787/",
        "http://localhost:1/",
        "https://192.168.1.1/",
        "https://8.8.8.8:8443/",
    ],
)
def test_our_own_network_is_asked_only_where_that_is_wanted(url: str) -> None:
    schemes = ("http", "https")
    with pytest.raises(RefusedUrl):
        urls.checked(url, UrlRules(schemes))
    assert urls.checked(url, UrlRules(schemes, has_private=True)).url.startswith("http")


@pytest.mark.parametrize(
    "url", ["http://me@localhost/", "ftp://localhost/", "http://127.1/", "http://a b/"]
)
def test_where_our_own_network_is_asked_a_url_has_one_reading_too(url: str) -> None:
    with pytest.raises(RefusedUrl):
        urls.checked(url, UrlRules(("http",), has_private=True))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_what_is_asked_is_the_plain_form_of_what_was_given() -> None:
    target = urls.checked("https://Example.COM.", UrlRules())
    assert target.url == "https://example.com:443/"
    assert urls.checked("https://8.8.8.8/x?y", UrlRules()).target == "/x?y"
