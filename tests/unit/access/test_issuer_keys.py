"""The keys of an issuer: those that can verify signatures, and no others."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from serve_app.access import issuer_keys
from serve_app.access.issuer_keys import KeySet
from tests.unit.access.issuer import ALGORITHMS, generated, public_jwk

GOOD = public_jwk("EdDSA", generated("EdDSA"), kid="good")


def read(*jwks: Any) -> KeySet:
    return issuer_keys.parsed(json.dumps({"keys": jwks}).encode())


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_for_the_algorithms_of_its_type(algorithm: str) -> None:
    (key,) = read(public_jwk(algorithm, generated(algorithm), kid="a")).keys
    assert algorithm in key.algorithms
    both = {"RS256", "PS256"}
    assert set(key.algorithms) == (both if algorithm in both else {algorithm})
    assert set(issuer_keys.ALGORITHMS) == set(ALGORITHMS)


def test_a_key_that_names_its_algorithm_is_for_no_other() -> None:
    (key,) = read(public_jwk("RS256", generated("RS256"), alg="PS256")).keys
    assert key.algorithms == ("PS256",)
    assert key.id is None


@pytest.mark.parametrize(
    "jwk",
    [
        {**GOOD, "use": "enc"},
        {**GOOD, "key_ops": ["sign"]},
        {**GOOD, "key_ops": "verify"},
        {**GOOD, "alg": "ES256"},
        {**GOOD, "alg": "HS256"},
        {**GOOD, "alg": ["EdDSA"]},
        {**GOOD, "kid": 7},
        {**GOOD, "crv": "Ed448"},
        {**GOOD, "crv": "X25519"},
        {**GOOD, "crv": ["Ed25519"]},
        {**GOOD, "kty": "EC"},
        {**GOOD, "kty": {"OKP": 1}},
        {**GOOD, "x": "AA"},
        {**GOOD, "x": 12},
        {**GOOD, "x": None},
        {**GOOD, "x": "ö"},
        {**GOOD, "d": encoded(bytes(32))},
        OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True),
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True),
        {"kty": "OKP", "crv": "Ed25519", "kid": "no x"},
        public_jwk("ES384", generated("ES384"), kid="curve"),
        {**public_jwk("ES256", generated("ES256")), "crv": "P-521"},
        {**public_jwk("ES256", generated("ES256")), "y": encoded(b"\1" * 32)},
        {"kty": "RSA", "n": encoded(b"\xff" * 128), "e": "AQAB"},
        {"kty": "RSA", "n": encoded(b"\xff" * 8000), "e": "AQAB"},
        {"kty": "RSA", "n": encoded(b"\xff" * 256), "e": "AA"},
        {"kty": "oct", "k": encoded(bytes(32)), "alg": "HS256"},
        {},
        [],
        "key",
        None,
    ],
)
def test_other_keys_are_left_out(jwk: Any) -> None:
    found = read(GOOD, jwk)
    assert [key.id for key in found.keys] == ["good"]
    assert found.left_out == 1


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"<html>", "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", 'no list "keys"'),
        (b'{"keys": {}}', 'no list "keys"'),
        (b'{"keys": []}', "no key is public"),
        (b'{"keys": [{"kty": "oct", "k": "AA"}]}', "no key is public"),
        (json.dumps({"keys": [GOOD] * 101}).encode(), "at most 100 keys, got 101"),
    ],
)
def test_a_document_without_usable_keys_is_refused(
    document: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        issuer_keys.parsed(document)


def test_keys_are_found_by_their_id() -> None:
    other = public_jwk("ES256", generated("ES256"), kid="other")
    found = read(GOOD, other)
    assert [key.id for key in found.named("other")] == ["other"]
    assert found.named("../../good") == ()
    assert found.named(None) == found.keys
    assert read(GOOD, other) == found
