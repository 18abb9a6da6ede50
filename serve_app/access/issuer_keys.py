"""The public keys of an issuer of tokens, from a JSON Web Key Set (RFC 7517)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

MOST_KEYS = 100
_RSA_BITS = range(2048, 8192 + 1)

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

# The algorithms of signatures (RFC 7518, RFC 8037) by type of key and curve.
_ALGORITHMS: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("OKP", "Ed25519"): ("EdDSA",),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "PS256"),
}
ALGORITHMS = tuple(name for names in _ALGORITHMS.values() for name in names)
_READERS: Mapping[str, type[Algorithm]] = {
    "OKP": OKPAlgorithm,
    "EC": ECAlgorithm,
    "RSA": RSAAlgorithm,
}


@dataclass(frozen=True)
class IssuerKey:
    """A key, and the algorithms of the signatures that it verifies."""

    id: str | None
    algorithms: tuple[str, ...]
    public: PublicKey


@dataclass(frozen=True)
class KeySet:
    """The keys of an issuer; `left_out` counts those that can't be used."""

    keys: tuple[IssuerKey, ...]
    left_out: int = 0

    def named(self, key_id: str | None) -> tuple[IssuerKey, ...]:
        """Return the keys with this id, or all if there is none."""
        return tuple(key for key in self.keys if key_id is None or key.id == key_id)


def parsed(document: bytes) -> KeySet:
    """Return the keys in a JWKS document that verify signatures with `ALGORITHMS`.

    Raises ValueError if it is not one, has more than 100 keys, or none that fits.
    """
    try:
        content = json.loads(document)
    except (ValueError, RecursionError) as err:
        raise ValueError("the document is not JSON") from err
    found = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise ValueError('the document has no list "keys"')
    if len(found) > MOST_KEYS:
        raise ValueError(f"there must be at most {MOST_KEYS} keys, got {len(found)}")
    keys = tuple(key for each in found if (key := _key(each)) is not None)
    if not keys:
        raise ValueError(f"no key is public and for one of {', '.join(ALGORITHMS)}")
    return KeySet(keys, len(found) - len(keys))


def _key(jwk: Any) -> IssuerKey | None:
    """Return the key that a JWK describes, or None if it must not be used."""
    if not isinstance(jwk, dict):
        return None
    key_id, algorithms = jwk.get("kid"), _algorithms(jwk)
    if not algorithms or not isinstance(key_id, str | None):
        return None
    public = _public(jwk)
    if isinstance(public, RSAPublicKey) and public.key_size not in _RSA_BITS:
        return None
    return None if public is None else IssuerKey(key_id, algorithms, public)


def _algorithms(jwk: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the algorithms that a JWK is for; empty if it is for something else."""
    if jwk.get("use", "sig") != "sig":
        return ()
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return ()
    kind, curve = jwk.get("kty"), jwk.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return ()
    names = _ALGORITHMS.get((kind, curve), ())
    return tuple(name for name in names if jwk.get("alg", name) == name)


def _public(jwk: dict[str, Any]) -> PublicKey | None:
    try:
        key = _READERS[jwk["kty"]].from_jwk(jwk)
    except (PyJWTError, ValueError, TypeError, AttributeError):
        # A parameter is missing, is of another type, or is not a point of the curve.
        return None
    # A private key that is published is known to everyone.
    return key if isinstance(key, PublicKey) else None
