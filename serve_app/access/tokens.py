"""The check of tokens: JWTs that an issuer signed with a key of its JWKS."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from serve_app.access import claims
from serve_app.access.claims import ClaimRules
from serve_app.access.identity import Identity
from serve_app.access.issuer_keys import ALGORITHMS, IssuerKey, KeySet
from serve_app.access.jwks import Jwks
from serve_app.errors import Unauthorized

# How long a verified token is not verified again.
_CACHED = timedelta(seconds=60)
_MOST_CACHED = 10_000
# A token that does not name its key is tried with each, but not with many.
_MOST_TRIED = 5


@dataclass(frozen=True)
class _Header:
    """The parts of a token's header that count; `jku`, `jwk` and `x5u` do not."""

    algorithm: str
    key_id: str | None


class JwtTokens:
    """Identifies the owners of tokens. For one event loop.

    Verified tokens are cached until they expire, a minute at most, and as long as the
    keys are the same.
    """

    def __init__(
        self, jwks: Jwks, rules: ClaimRules, clock: Callable[[], datetime]
    ) -> None:
        self._jwks = jwks
        self._rules = rules
        self._clock = clock
        self._jws = PyJWS(algorithms=ALGORITHMS)
        self._keys: KeySet | None = None
        self._cache: OrderedDict[bytes, tuple[Identity, datetime]] = OrderedDict()

    async def identify(self, token: str) -> Identity:
        """Return the owner of a valid token.

        Raises Unauthorized, with the check that failed, and Unavailable if the keys of
        the issuer can't be fetched.
        """
        keys = await self._jwks.keys()
        if keys is not self._keys:
            self._keys = keys
            self._cache.clear()
        digest = hashlib.sha256(token.encode()).digest()
        identity, until = self._cache.get(digest, (None, None))
        if identity is not None and until is not None and self._clock() < until:
            return identity
        found = claims.identity(
            await self._verified(token, keys), self._rules, self._clock()
        )
        self._keep(digest, found)
        return found

    async def _verified(self, token: str, keys: KeySet) -> bytes:
        """Return the payload of a token whose signature is valid."""
        header = self._header(token)
        fitting = _fitting(header, keys)
        if not fitting:
            keys = await self._jwks.keys_after_search()
            fitting = _fitting(header, keys)
        if not fitting:
            raise Unauthorized(_no_key(header, keys))
        if len(fitting) > _MOST_TRIED:
            raise Unauthorized("The token's header must name its key (`kid`).")
        for key in fitting:
            payload = self._payload(token, header, key)
            if payload is not None:
                return payload
        raise Unauthorized("The token's signature is not valid.")

    def _header(self, token: str) -> _Header:
        try:
            header = self._jws.get_unverified_header(token)
        except PyJWTError:
            # The reason might quote the token.
            raise Unauthorized(
                "The credentials are neither an API key of this server, which begins "
                "with stemserve_, nor a valid JWT in its compact form."
            ) from None
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Unauthorized(
                f"The token's algorithm (`alg`) must be one of {', '.join(ALGORITHMS)}."
            )
        # None are understood, and these must be (RFC 7515, section 4.1.11).
        if "crit" in header:
            raise Unauthorized("The token's header must not have `crit`.")
        return _Header(algorithm, header.get("kid"))

    def _payload(self, token: str, header: _Header, key: IssuerKey) -> bytes | None:
        """Return the token's payload, or None if `key` did not sign it."""
        try:
            payload: bytes = self._jws.decode(token, key.public, [header.algorithm])
        except PyJWTError:
            return None
        return payload

    def _keep(self, digest: bytes, identity: Identity) -> None:
        if identity.expires_at is None:
            return
        # Not `min(expires_at + leeway, …)`: within the leeway it is verified each time.
        until = min(identity.expires_at, self._clock() + _CACHED)
        self._cache[digest] = identity, until
        while len(self._cache) > _MOST_CACHED:
            self._cache.popitem(last=False)


def _fitting(header: _Header, keys: KeySet) -> list[IssuerKey]:
    """Return the keys that may have signed a token."""
    named = keys.named(header.key_id)
    return [key for key in named if header.algorithm in key.algorithms]


def _no_key(header: _Header, keys: KeySet) -> str:
    if keys.named(header.key_id):
        return "The token's algorithm (`alg`) does not fit the key of its issuer."
    return (
        "The token's key (`kid`) is not one of its issuer's. A key that was created "
        "within the last minute may not be known yet: try again in a minute."
    )
