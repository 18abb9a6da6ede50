"""The check of credentials: API keys and tokens."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serve_app.access import api_key, scopes
from serve_app.access.identity import ANY_TENANT, Identity
from serve_app.access.key_cache import KeyCache
from serve_app.errors import Unauthorized

ADMIN_CREDENTIAL = "admin"
# Longer credentials are not read. Tokens have up to a few kilobytes.
_LONGEST = 8192


class Tokens(Protocol):
    """The check of tokens, JWTs."""

    async def identify(self, token: str) -> Identity:
        """Return the owner of a valid token; raise Unauthorized or Unavailable."""


@dataclass(frozen=True)
class Authenticator:
    """Recognises the owners of credentials. For one event loop.

    `admin_key` is an operator's key that is not in the database. `tokens` is None where
    no issuer of tokens is configured.
    """

    keys: KeyCache
    clock: Callable[[], datetime]
    tokens: Tokens | None = None
    admin_key: str = ""

    async def is_configured(self) -> bool:
        """Whether anyone can have credentials; raise Unavailable."""
        if self.tokens is not None or self.admin_key:
            return True
        return await self.keys.has_any()

    async def identify(self, credential: str) -> Identity:
        """Return the owner of a credential.

        Raises Unauthorized for one that is not valid, and Unavailable.
        """
        if len(credential) > _LONGEST:
            raise Unauthorized(
                f"The credentials must have at most {_LONGEST} characters."
            )
        if self._is_admin_key(credential):
            return Identity(ANY_TENANT, ADMIN_CREDENTIAL, frozenset({scopes.ADMIN}))
        if credential.startswith(api_key.PREFIX):
            return await self._owner_of_key(credential)
        if self.tokens is None:
            raise Unauthorized(
                "The credentials are not an API key of this server. Keys begin with "
                f"{api_key.PREFIX}; the operator creates them."
            )
        return await self.tokens.identify(credential)

    async def check_key(self, key_id: str) -> None:
        """Raise Unauthorized unless the key is still valid; raise Unavailable."""
        key = await self.keys.find(key_id)
        if key is None or not key.is_valid(self.clock()):
            raise Unauthorized("The API key was revoked, or it has expired.")

    def _is_admin_key(self, credential: str) -> bool:
        if not self.admin_key:
            return False
        # Digests, so that the comparison takes the same time for all lengths.
        given, known = (
            hashlib.sha256(text.encode(errors="replace")).digest()
            for text in (credential, self.admin_key)
        )
        return hmac.compare_digest(given, known)

    async def _owner_of_key(self, credential: str) -> Identity:
        text = api_key.parsed(credential)
        if text is None:
            raise Unauthorized(
                "The API key is not complete, or has a typing error. Copy all of it, "
                "without spaces."
            )
        key = await self.keys.find(text.id)
        if key is None or not self.keys.store.is_text_of(text, key):
            raise Unauthorized("There is no such API key. Ask the operator for one.")
        identity = key.identity()
        if key.revoked_at is not None:
            raise Unauthorized(
                "The API key was revoked. Ask the operator for one.",
                credential=identity.credential,
            )
        if not key.is_valid(self.clock()):
            raise Unauthorized(
                f"The API key expired at {key.expires_at:%Y-%m-%d %H:%M} UTC. Ask the "
                "operator for another one.",
                credential=identity.credential,
            )
        return identity
