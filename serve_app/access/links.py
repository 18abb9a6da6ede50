"""The tokens of signed links, which open one path for one tenant, for some time."""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from serve_app.access import server_secret
from serve_app.api.links import TOKEN, Link
from serve_app.errors import Unauthorized

_VERSION = 1
# Version, time of expiry (Unix, seconds) and digest of the path. Credential and tenant
# follow, then the signature.
_FIXED = struct.Struct(">BI16s")
# HMAC-SHA256 may be truncated to half of its length (RFC 2104, section 5).
_SIGNATURE_BYTES = 16
# No name of a credential or a tenant contains it.
_SEPARATOR = "\0"
_LONGEST = 2048


@dataclass(frozen=True)
class Grant:
    """What a link allows: to read as `tenant`, "" for none, until `expires_at`.

    `credential` names the credentials that it was made with, such as `key:k3x9…`.
    """

    tenant: str
    credential: str
    expires_at: datetime


class Links:
    """Makes and checks links that are valid for once to twice `seconds`.

    Links to a path have the same token for that long, so that browsers can cache it.
    """

    def __init__(
        self, secret: bytes, clock: Callable[[], datetime], seconds: int
    ) -> None:
        self._secret = server_secret.derived(secret, "links")
        self._clock = clock
        self._seconds = seconds

    def signed(
        self, target: str, tenant: str, credential: str, until: datetime | None = None
    ) -> Link:
        """Return a link to a path, which `target` is with or without a query.

        It expires at the latest then.
        """
        periods = int(self._clock().timestamp()) // self._seconds
        expires_at = (periods + 2) * self._seconds
        if until is not None:
            expires_at = min(expires_at, int(until.timestamp()))
        path, mark, query = target.partition("?")
        fixed = _FIXED.pack(_VERSION, expires_at, _digest(unquote(path)))
        content = fixed + f"{credential}{_SEPARATOR}{tenant}".encode()
        token = base64.urlsafe_b64encode(content + self._signature(content))
        separator = "&" if mark and query else "?"
        return Link(
            f"{target.removesuffix('?')}{separator}{TOKEN}={token.decode().rstrip('=')}",
            datetime.fromtimestamp(expires_at, UTC),
        )

    def target(
        self, path: str, tenant: str, credential: str, until: datetime | None
    ) -> str:
        """Return a path with the token of a link to it, see `signed`."""
        return self.signed(path, tenant, credential, until).target

    def opened(self, token: str, path: str) -> Grant:
        """Return what a token allows; raise Unauthorized unless it opens the path."""
        content = self._content(token)
        _, expires_at, digest = _FIXED.unpack_from(content)
        if expires_at <= self._clock().timestamp():
            at = datetime.fromtimestamp(expires_at, UTC)
            raise Unauthorized(
                f"The link expired at {at:%Y-%m-%d %H:%M:%S} UTC. Get a new one: read "
                "the job again, or send POST /links."
            )
        if not hmac.compare_digest(digest, _digest(path)):
            raise Unauthorized(
                "The link is for another path. Use it exactly as the server returned "
                "it."
            )
        names = content[_FIXED.size :].decode()
        credential, _, tenant = names.rpartition(_SEPARATOR)
        return Grant(tenant, credential, datetime.fromtimestamp(expires_at, UTC))

    def _content(self, token: str) -> bytes:
        """Return the signed content of a token; raise Unauthorized if it is not."""
        padded = token + "=" * (-len(token) % 4)
        try:
            if len(token) > _LONGEST or not token.isascii():
                raise ValueError
            decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise _invalid() from None
        content, signature = decoded[:-_SIGNATURE_BYTES], decoded[-_SIGNATURE_BYTES:]
        is_signed = hmac.compare_digest(signature, self._signature(content))
        if not is_signed or content[0] != _VERSION:
            raise _invalid()
        return content

    def _signature(self, content: bytes) -> bytes:
        found = hmac.new(self._secret, content, hashlib.sha256)
        return found.digest()[:_SIGNATURE_BYTES]


def _digest(path: str) -> bytes:
    return hashlib.sha256(path.encode(errors="surrogatepass")).digest()[:16]


def _invalid() -> Unauthorized:
    return Unauthorized(
        "The link's token is not valid: it is incomplete or was changed, or the "
        "server's secret was. Get a new one: read the job again, or send POST /links."
    )
