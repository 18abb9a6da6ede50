"""Tokens that an issuer signed are accepted, and no others."""

import base64
import hashlib
import hmac
import json
import logging
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serve_app.access.authenticator import Authenticator
from serve_app.access.claims import ClaimRules
from serve_app.access.issuer_keys import KeySet
from serve_app.access.jwks import Jwks
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore
from serve_app.access.tokens import JwtTokens
from serve_app.errors import Unauthorized, Unavailable
from tests.unit.access.issuer import (
    ALGORITHMS,
    Issuer,
    claims_at,
    expiring,
    generated,
    public_jwk,
)
from tests.unit.server import Clock, Server

pytestmark = pytest.mark.anyio


class Ticks:
    """A monotonic clock that stands still unless it is moved."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def tokens(issuer: Issuer, clock: Clock, ticks: Ticks) -> JwtTokens:
    return JwtTokens(Jwks(issuer.source().fetch, ticks), ClaimRules(), clock)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def refused(tokens: JwtTokens, token: str, reason: str) -> None:
    with pytest.raises(Unauthorized, match=reason) as caught:
        await tokens.identify(token)
    for piece in token.split("."):
        assert len(piece) < 8 or piece not in caught.value.detail


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_is_accepted_in_each_algorithm(
    issuer: Issuer, tokens: JwtTokens, clock: Clock, algorithm: str
) -> None:
    issuer.add("k", algorithm)
    found = await tokens.identify(issuer.token("k", claims_at(clock.now)))
    assert (found.tenant, found.credential) == ("user-7", "token:user-7")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_changed_token_is_refused(
    issuer: Issuer, tokens: JwtTokens, clock: Clock, algorithm: str
) -> None:
    issuer.add("k", algorithm)
    header, _, signature = issuer.token("k", claims_at(clock.now)).split(".")
    payload = part(claims_at(clock.now, sub="user-8"))
    await refused(tokens, f"{header}.{payload}.{signature}", "signature is not valid")
    genuine = issuer.token("k", claims_at(clock.now))
    head, _, end = genuine.rpartition(".")
    for wrong in ("AAAA", part(bytes(64)), part(bytes(132)), end[:-8], end + end):
        await refused(tokens, f"{head}.{wrong}", "signature|compact form")


async def test_only_five_algorithms_are_accepted(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    payload = part(claims_at(clock.now))
    for alg in ("none", "None", "HS256", "ES384", "RS512", "PS384", "ES256K", "", 7):
        for signature in ("AA", part(bytes(64))):
            token = f"{part({'alg': alg, 'kid': 'one'})}.{payload}.{signature}"
            await refused(tokens, token, r"algorithm \(`alg`\) must be one of")
    unsigned = f"{part({'alg': 'none'})}.{payload}."
    await refused(tokens, unsigned, "alg")
    await refused(tokens, f"{part({'kid': 'one'})}.{payload}.AA", "alg")


async def test_a_public_key_is_not_a_secret(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    issuer.add("k", "RS256")
    pem = (
        issuer.private["k"][1]
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for alg in ("HS256", "RS256"):
        signed = f"{part({'alg': alg, 'kid': 'k'})}.{part(claims_at(clock.now))}"
        signature = hmac.digest(pem, signed.encode(), hashlib.sha256)
        await refused(tokens, f"{signed}.{part(signature)}", "alg|signature")


async def test_a_key_verifies_no_other_algorithm(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    issuer.add("pss", "PS256")
    key = generated("ES256")
    headers = {"kid": "one"}
    token = jwt.encode(claims_at(clock.now), key, "ES256", headers)
    await refused(tokens, token, "does not fit")
    private = issuer.private["pss"][1]
    token = jwt.encode(claims_at(clock.now), private, "RS256", {"kid": "pss"})
    await refused(tokens, token, "does not fit")


async def test_a_key_in_the_header_is_ignored(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    key = generated("EdDSA")
    jwk = public_jwk("EdDSA", key, kid="one")
    more = {"jwk": jwk, "jku": f"{issuer.address}/evil", "x5u": "https://evil.example"}
    token = jwt.encode(claims_at(clock.now), key, "EdDSA", {"kid": "one", **more})
    await refused(tokens, token, "signature is not valid")
    assert issuer.requests == 1
    # The issuer's own may have them.
    await tokens.identify(issuer.token("one", claims_at(clock.now), **more))


@pytest.mark.parametrize(
    "key_id",
    [
        "../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "' UNION SELECT 'secret' --",
        "one\0",
        "One",
        "k" * 4000,
        "",
        "\u043ene",
    ],
)
async def test_an_unknown_key_is_only_unknown(
    issuer: Issuer, tokens: JwtTokens, clock: Clock, key_id: str
) -> None:
    token = issuer.token("one", claims_at(clock.now), kid=key_id)
    for _ in range(3):
        await refused(tokens, token, r"key \(`kid`\) is not one of its issuer's")
    assert issuer.requests == 2  # the first one, and one search


@pytest.mark.parametrize("key_id", [7, None, ["one"], {"kid": "one"}])
async def test_the_id_of_a_key_must_be_text(
    tokens: JwtTokens, clock: Clock, key_id: Any
) -> None:
    header = part({"alg": "EdDSA", "kid": key_id})
    token = f"{header}.{part(claims_at(clock.now))}.{part(bytes(64))}"
    await refused(tokens, token, "compact form")


async def test_critical_extensions_are_refused(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    for more in (
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
    ):
        header = part({"alg": "EdDSA", "kid": "one", **more})
        token = f"{header}.{part(claims_at(clock.now))}.{part(bytes(64))}"
        await refused(tokens, token, "crit|compact form")


@pytest.mark.parametrize(
    "token",
    [
        "hunter2hunter2",
        "a.b",
        "a.b.c",
        "....",
        "e30.e30.AA.AA.AA",
        '{"payload":"e30","signatures":[' + '{"protected":"e30"},' * 9 + "{}]}",
        "[" * 6000,
        base64.urlsafe_b64encode(b'{"alg":' + b"[" * 5000).decode() + ".e30.AA",
        base64.urlsafe_b64encode(b'{"alg":"EdDSA","a":' + b"9" * 5000).decode()
        + ".e30.AA",
        "\uff45yJhbGciOiJFZERTQSJ9.e30.AA",
    ],
)
async def test_what_is_no_token_is_refused(tokens: JwtTokens, token: str) -> None:
    await refused(tokens, token, "compact form|algorithm")


async def test_a_token_without_a_key_id_is_tried_with_the_keys_that_fit(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    issuer.add("two")
    issuer.add("other", "ES256")
    key = issuer.private["two"][1]
    token = jwt.encode(claims_at(clock.now), key, "EdDSA")
    assert (await tokens.identify(token)).tenant == "user-7"
    stranger = jwt.encode(claims_at(clock.now), generated("EdDSA"), "EdDSA")
    await refused(tokens, stranger, "signature is not valid")


async def test_a_token_without_a_key_id_is_not_tried_with_many_keys(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    for number in range(5):
        issuer.add(f"k{number}")
    key = issuer.private["one"][1]
    token = jwt.encode(claims_at(clock.now), key, "EdDSA")
    await refused(tokens, token, "must name its key")


async def test_a_new_key_is_accepted_at_once_and_an_old_one_while_it_is_published(
    issuer: Issuer, tokens: JwtTokens, clock: Clock, ticks: Ticks
) -> None:
    old = issuer.token("one", claims_at(clock.now))
    await tokens.identify(old)
    issuer.add("two")
    await tokens.identify(issuer.token("two", claims_at(clock.now)))
    await tokens.identify(old)
    issuer.add("three")
    third = issuer.token("three", claims_at(clock.now))
    await refused(tokens, third, "try again in a minute")
    ticks.now += 60
    await tokens.identify(third)
    issuer.remove("one")
    ticks.now += 60
    await refused(tokens, issuer.token("one", claims_at(clock.now), kid="?"), "kid")
    # A search brought the keys without it: what was cached is void.
    await refused(tokens, old, "kid")


async def test_a_key_replaced_under_the_same_id_is_found(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    await tokens.identify(issuer.token("one", claims_at(clock.now)))
    issuer.remove("one")
    issuer.add("one", "ES256")
    await tokens.identify(issuer.token("one", claims_at(clock.now)))


async def test_a_token_is_verified_once_a_minute(
    issuer: Issuer,
    tokens: JwtTokens,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified: list[str] = []
    verify = JwtTokens._verified

    async def counted(self: JwtTokens, token: str, keys: KeySet) -> bytes:
        verified.append(token)
        return await verify(self, token, keys)

    monkeypatch.setattr(JwtTokens, "_verified", counted)
    token = issuer.token("one", claims_at(clock.now))
    for _ in range(5):
        await tokens.identify(token)
    assert len(verified) == 1
    clock.move(60)
    await tokens.identify(token)
    assert len(verified) == 2


async def test_a_cached_token_expires(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    token = issuer.token("one", expiring(clock.now, 20))
    await tokens.identify(token)
    clock.move(49)
    await tokens.identify(token)
    clock.move(1)
    await refused(tokens, token, "expired")


async def test_claims_are_checked(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    for changes, reason in (
        ({"exp": None}, "`exp`"),
        ({"exp": "9999999999"}, "`exp`"),
        ({"exp": 10**20}, "`exp`"),
        ({"nbf": int((clock.now + timedelta(hours=1)).timestamp())}, "not valid yet"),
        ({"sub": "*"}, "`sub`"),
    ):
        payload = json.dumps(claims_at(clock.now, **changes)).encode()
        token = jwt.PyJWS().encode(
            payload, issuer.private["one"][1], "EdDSA", {"kid": "one"}
        )
        await refused(tokens, token, reason)


async def test_without_any_keys_a_token_is_neither_valid_nor_invalid(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    token = issuer.token("one", claims_at(clock.now))
    issuer.address = "http://127.0.0.1:1"
    unreachable = JwtTokens(issuer.fetched(), ClaimRules(), clock)
    with pytest.raises(Unavailable):
        await unreachable.identify(token)


async def test_those_who_are_known_come_in_while_the_issuer_is_down(
    issuer: Issuer, tokens: JwtTokens, clock: Clock
) -> None:
    await tokens.identify(issuer.token("one", claims_at(clock.now)))
    issuer.respond = lambda handler: handler.wfile.write(b"")
    other = issuer.token("one", claims_at(clock.now, sub="user-8"))
    assert (await tokens.identify(other)).tenant == "user-8"
    with pytest.raises(Unavailable):
        await tokens.identify(issuer.token("one", claims_at(clock.now), kid="new"))
    assert (await tokens.identify(other)).tenant == "user-8"


async def test_a_token_of_a_megabyte_is_not_read(
    server: Server, tokens: JwtTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keys = KeyCache(KeyStore(server.database, server.clock, b"secret"))
    authenticator = Authenticator(keys, server.clock, tokens)
    with pytest.raises(Unauthorized, match="at most 8192 characters"):
        await authenticator.identify("a." * 500_000)
    with pytest.raises(Unauthorized, match="compact form"):
        await authenticator.identify("hunter2hunter2")
    assert await authenticator.is_configured()
    assert "hunter2" not in caplog.text
