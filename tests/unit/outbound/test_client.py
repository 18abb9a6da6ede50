"""What strangers have us ask: never anything of our own network, in any disguise."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Thread

import httpcore
import pytest

from serve_app.errors import Cancelled, RefusedUrl, UnreachableUrl
from serve_app.outbound import urls
from serve_app.outbound.addresses import Address, is_public
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules

# Stands in for a server on the Internet: loopback too, but allowed for the test.
PUBLIC = "127.0.0.2"


class Listener:
    """A server that records whatever reaches it, down to a connection."""

    def __init__(self, host: str, port: int = 0) -> None:
        listener = self
        self.reached: list[str] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                listener.reached.append(f"connection of {self.client_address[0]}")
                super().setup()

            def do_GET(self) -> None:
                listener.reached.append(self.path)
                length = int(self.headers.get("Content-Length", 0))
                listener.reached.append(self.rfile.read(length).decode())
                status, headers, body = (
                    listener.answers.pop(0) if listener.answers else (200, {}, b"song")
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                # Its client may have gone, as is wanted.
                with suppress(ConnectionError):
                    self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, port), Handler)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


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


Names = dict[str, list[str]]
NAMES: Names = {
    "good.example": [PUBLIC],
    "evil.example": ["127.0.0.1"],
    "half.example": [PUBLIC, "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "lan.example": ["192.168.1.1"],
    "six.example": ["::1"],
    "unique.example": ["fd00::1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "any.example": ["0.0.0.0"],  # noqa: S104  nothing listens here
    "localhost.localdomain": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "kubernetes.default.svc.cluster.local": ["10.96.0.1"],
    "xn--80ak6aa92e.example": ["10.0.0.1"],
}


def resolver(names: Names) -> Callable[[str, int], list[Address]]:
    def resolve(host: str, port: int) -> list[Address]:
        return [ip_address(text) for text in names.get(host, [])]

    return resolve


def asker(
    port: int, hosts: tuple[str, ...] = (), names: Names = NAMES
) -> OutboundClient:
    rules = UrlRules(("http", "https"), hosts, (80, 443, port))
    network = CheckedNetwork(resolver(names), lambda one: str(one) == PUBLIC)
    return OutboundClient(rules, network)


def get(asker: OutboundClient, url: str) -> tuple[int, bytes]:
    with asker.get(url, {}, time.monotonic() + 5) as answer:
        return answer.status, b"".join(answer.body)


HOSTILE = [
    # Loopback, in all notations that some program understands.
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127.255.255.254:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0.0.01:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://127.000.000.001:{port}/",
    "http://127.0.0.1%00.example.com:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://localhost.localdomain:{port}/",
    # IPv6, plain and with IPv4 inside.
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fd00:ec2::254]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://[2001:db8::1]:{port}/",
    "http://::1:{port}/",
    "http://[127.0.0.1]:{port}/",
    # Private, shared, link-local, metadata, multicast, reserved.
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://172.31.255.255:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://0251.0376.0251.0376/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.88.99.1/",
    # Names that lead there.
    "http://evil.example:{port}/",
    "http://EVIL.example.:{port}/",
    "http://half.example:{port}/",
    "http://mapped.example:{port}/",
    "http://metadata.example:{port}/",
    "http://lan.example:{port}/",
    "http://six.example:{port}/",
    "http://unique.example:{port}/",
    "http://nat64.example:{port}/",
    "http://any.example:{port}/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://kubernetes.default.svc.cluster.local/",
    "http://xn--80ak6aa92e.example/",
    # Two readings of one text.
    "http://good.example@127.0.0.1:{port}/",
    "http://good.example:80@127.0.0.1:{port}/",
    "http://good.example%40127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@good.example/",
    "http://127.0.0.1:{port}\\@good.example/",
    "http://good.example\\.evil.example:{port}/",
    "http://good.example&@127.0.0.1:{port}#@other.example/",
    "http:\\\\127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http://127.0.0.1:{port} .good.example/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\nHost: good.example:{port}/",
    "http://good.example:{port}/\r\nX: y",
    "\u2009http://127.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛocalhost:{port}/",
    "http://loc\u00adalhost:{port}/",
    # Other schemes and ports.
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "dict://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "jar:http://127.0.0.1:{port}!/",
    "javascript:alert(1)",
    "http://good.example:22/",
    "http://good.example:6379/",
    "http://good.example:99999/",
    "http://good.example:-1/",
    "http://",
    "http://:{port}/",
    "",
    "http://" + "a" * 5000 + ".example/",
]


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
    asking = asker(inner.port, ("*.good.example",), names)
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
