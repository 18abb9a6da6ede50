"""URLs by which strangers try to reach what only a server itself can."""

from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Thread

from serve_app.outbound.addresses import Address
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
    *ports: int, hosts: tuple[str, ...] = (), names: Names = NAMES
) -> OutboundClient:
    """Return a client that may reach PUBLIC, at these ports too."""
    rules = UrlRules(("http", "https"), hosts, (80, 443, *ports))
    network = CheckedNetwork(resolver(names), lambda one: str(one) == PUBLIC)
    return OutboundClient(rules, network)


# `{port}` is that of a server of our own network.
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
