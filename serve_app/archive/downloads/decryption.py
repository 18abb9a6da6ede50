"""Segments that are encrypted with AES-128 (RFC 8216, 4.3.2.4)."""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

_CHUNK_BYTES = 65_536
_BLOCK_BITS = 128
KEY_BYTES = 16


class WrongKey(Exception):
    """A file can't be decrypted with its key: it is damaged, or of another key."""


def chunks(path: Path, key: bytes, iv: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, decrypted if there is a `key`; WrongKey if it can't be."""
    with path.open("rb") as file:
        pieces = iter(lambda: file.read(_CHUNK_BYTES), b"")
        if not key:
            yield from pieces
            return
        cipher = Cipher(AES(key), CBC(iv)).decryptor()
        padding = PKCS7(_BLOCK_BITS).unpadder()
        for piece in pieces:
            yield padding.update(cipher.update(piece))
        try:
            yield padding.update(cipher.finalize()) + padding.finalize()
        except ValueError as err:
            raise WrongKey(
                "a segment can't be decrypted with its key: one of them is wrong"
            ) from err
