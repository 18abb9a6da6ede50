"""An issuer of tokens: real keys, and their JWKS on a port of this machine."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from serve_app.access.jwks import Jwks, JwksSource
from serve_app.outbound.client import CheckedNetwork
from serve_app.outbound.urls import UrlRules

ALGORITHMS = ("EdDSA", "ES256", "ES512", "RS256", "PS256")
PRIVATE = UrlRules(("https", "http"), has_private=True)
_RSA = rsa.generate_private_key(65537, 2048)

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
# A way to respond to a request.
Respond = Callable[[BaseHTTPRequestHandler], None]


def generated(algorithm: str) -> PrivateKey:
    """Return a private key for an algorithm; those of RSA are one, which is slow."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES384":
        return ec.generate_private_key(ec.SECP384R1())
    if algorithm.startswith("ES"):
        curve = ec.SECP256R1() if algorithm == "ES256" else ec.SECP521R1()
        return ec.generate_private_key(curve)
    return _RSA


def public_jwk(algorithm: str, key: PrivateKey, **more: Any) -> dict[str, Any]:
    """Return the JWK of the public key, with further members."""
    reader: Any = get_default_algorithms()[algorithm]
    return {**reader.to_jwk(key.public_key(), as_dict=True), **more}


def claims_at(now: datetime, **more: Any) -> dict[str, Any]:
    """Return the claims of a token for ten minutes; those with None are left out."""
    at = int(now.timestamp())
    claims = {"sub": "user-7", "iat": at, "exp": at + 600, **more}
    return {name: value for name, value in claims.items() if value is not None}


class Issuer:
    """Signs tokens, and publishes its public keys."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.private: dict[str, tuple[str, PrivateKey]] = {}
        self.jwks: list[dict[str, Any]] = []
        self.requests = 0
        self.respond: Respond = self.send_keys

    @property
    def url(self) -> str:
        """The URL of the JWKS."""
        return f"{self.address}/api/auth/jwks"

    def add(self, key_id: str, algorithm: str = "EdDSA") -> None:
        """Make a key and publish it."""
        key = generated(algorithm)
        self.private[key_id] = algorithm, key
        self.jwks.append(public_jwk(algorithm, key, kid=key_id, alg=algorithm))

    def remove(self, key_id: str) -> None:
        """Withdraw a key; it can still sign."""
        self.jwks = [each for each in self.jwks if each["kid"] != key_id]

    def token(self, key_id: str, claims: Mapping[str, Any], **header: Any) -> str:
        """Return a token that a key signed; `header` adds to its header."""
        algorithm, key = self.private[key_id]
        headers = {"kid": key_id, **header}
        return jwt.encode(dict(claims), key, algorithm, headers)

    def send_keys(
        self, handler: BaseHTTPRequestHandler, headers: Mapping[str, str] = {}
    ) -> None:
        """Respond with the published keys."""
        send(handler, 200, json.dumps({"keys": self.jwks}).encode(), headers)

    def source(self, rules: UrlRules = PRIVATE, timeout: float = 5.0) -> JwksSource:
        """Return what fetches the keys; addresses of this machine are allowed."""
        network = CheckedNetwork(is_allowed=lambda _: rules.has_private)
        return JwksSource(self.url, rules, network, timeout)

    def fetched(self) -> Jwks:
        """Return the keys as the service has them."""
        return Jwks(self.source().fetch)


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: Mapping[str, str] = {},
) -> None:
    """Respond; the client may have left before the end."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    with suppress(ConnectionError):
        handler.wfile.write(body)


@contextmanager
def running() -> Iterator[Issuer]:
    """Run an issuer without keys."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            issuer.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield issuer
        finally:
            server.shutdown()


def expiring(now: datetime, seconds: float) -> dict[str, Any]:
    """Return the claims of a token that expires in `seconds`."""
    return claims_at(now, exp=int((now + timedelta(seconds=seconds)).timestamp()))
