"""The secret that keys digests of API keys, and signs links."""

import hashlib
import hmac
import secrets

from sqlalchemy import exc, insert, select

from serve_app.access.table import server_secrets
from serve_app.database import Database

_NAME = "access"
_BYTES = 32


def server_secret(database: Database, configured: str = "") -> bytes:
    """Return the configured secret, or else the one in the database; make that once.

    Raises Unavailable if the database is unreachable.
    """
    if configured:
        return configured.encode()
    query = select(server_secrets.c.value).where(server_secrets.c.name == _NAME)
    try:
        with database.writing() as connection:
            found: str | None = connection.execute(query).scalar()
            if found is None:
                found = secrets.token_hex(_BYTES)
                values = {"name": _NAME, "value": found}
                connection.execute(insert(server_secrets).values(**values))
    except exc.IntegrityError:
        # Another process has just made it.
        with database.reading() as connection:
            found = connection.execute(query).scalar_one()
    return bytes.fromhex(found)


def derived(secret: bytes, purpose: str) -> bytes:
    """Return a secret for one purpose, which tells nothing about those of others."""
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()
