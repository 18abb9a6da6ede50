"""The text of API keys, and their digests."""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass

# Secret scanners recognise keys by it.
PREFIX = "stemserve_"

_ID_CHARACTERS = string.ascii_lowercase + string.digits
_CHARACTERS = string.ascii_letters + string.digits
_ID_LENGTH = 12
# 62^43 > 2^256.
_SECRET_LENGTH = 43
# 62^6 > 2^32: a CRC-32, with which most typing errors are found without the database.
_CHECK_LENGTH = 6
_LAST_LENGTH = _SECRET_LENGTH + _CHECK_LENGTH
_KEY = re.compile(rf"{PREFIX}([a-z0-9]{{{_ID_LENGTH}}})_[A-Za-z0-9]{{{_LAST_LENGTH}}}")


@dataclass(frozen=True)
class KeyText:
    """A key as its owner sends it, and the id in it, which is not secret."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"KeyText({self.id!r})"


def generate() -> KeyText:
    """Return a new random key."""
    key_id = _random(_ID_CHARACTERS, _ID_LENGTH)
    body = f"{PREFIX}{key_id}_{_random(_CHARACTERS, _SECRET_LENGTH)}"
    return KeyText(key_id, body + _check(body))


def parsed(text: str) -> KeyText | None:
    """Return the key in `text`, or None if it has another form or a typing error."""
    found = _KEY.fullmatch(text)
    body, check = text[:-_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    if found is None or check != _check(body):
        return None
    return KeyText(found[1], text)


def digest(key: KeyText, secret: bytes) -> str:
    """Return the HMAC-SHA256 of a key.

    A fast one: a key of 256 random bits can't be guessed from it (NIST SP 800-107).
    """
    return hmac.new(secret, key.text.encode(), hashlib.sha256).hexdigest()


def _random(characters: str, length: int) -> str:
    return "".join(secrets.choice(characters) for _ in range(length))


def _check(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(_CHARACTERS))
        digits = _CHARACTERS[digit] + digits
    return digits
