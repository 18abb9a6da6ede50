"""Signatures of webhooks, with which receivers verify the sender.

The scheme is `v1` of Standard Webhooks (https://www.standardwebhooks.com):
HMAC-SHA256 of `{id}.{timestamp}.{body}`, in base64.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

# Messages with a timestamp further away may be replayed by an attacker.
TOLERANCE_SECONDS = 300

_PREFIX = "whsec_"
_VERSION = "v1"
_SHORTEST_BYTES, _LONGEST_BYTES = 24, 64
# Two during a rotation, until all receivers have the new one.
_MOST_KEYS = 2


def new_secret() -> str:
    """Return a new random secret."""
    return _PREFIX + b64encode(secrets.token_bytes(_SHORTEST_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the key of `secret`, which is `whsec_` and 24 to 64 bytes in base64.

    Raises ValueError, without the secret in its text, for anything else.
    """
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    is_long_enough = _SHORTEST_BYTES <= len(key) <= _LONGEST_BYTES
    if not secret.startswith(_PREFIX) or not is_long_enough:
        raise ValueError(
            f"a webhook secret must be {_PREFIX} followed by {_SHORTEST_BYTES} to "
            f"{_LONGEST_BYTES} bytes in base64"
        )
    return key


def keys_of(secrets: Sequence[str]) -> list[bytes]:
    """Return the keys of at most two secrets; raise ValueError for more or invalid."""
    if len(secrets) > _MOST_KEYS:
        raise ValueError(
            f"at most {_MOST_KEYS} secrets are allowed, the new one first, got "
            f"{len(secrets)}"
        )
    return [key_of(secret) for secret in secrets]


def headers(
    keys: Iterable[bytes], message_id: str, body: bytes, now: datetime
) -> dict[str, str]:
    """Return the headers of `body`, with one signature for each key."""
    timestamp = str(int(now.timestamp()))
    signatures = [_signature(key, message_id, timestamp, body) for key in keys]
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def verify(
    keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Raise ValueError, with the reason, unless `body` was signed recently by a key."""
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise ValueError(f"it has no {missing[0]}")
    timestamp = given[TIMESTAMP]
    if not timestamp.isdecimal():
        raise ValueError(
            f"its {TIMESTAMP} must be a number of seconds, got {timestamp[:80]!r}"
        )
    if abs(now.timestamp() - float(timestamp)) > TOLERANCE_SECONDS:
        raise ValueError(f"its {TIMESTAMP} is more than {TOLERANCE_SECONDS} s from now")
    wanted = [_signature(key, given[ID], timestamp, body) for key in keys]
    found = given[SIGNATURE].split()
    if not any(_is_same(one, other) for one in wanted for other in found):
        raise ValueError("it is not signed with this secret, or its body was changed")


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"{_VERSION},{b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
