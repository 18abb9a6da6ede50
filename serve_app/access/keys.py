"""The API keys in the database."""

import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from serve_app.access import api_key, server_secret
from serve_app.access.api_key import KeyText
from serve_app.access.identity import Identity
from serve_app.access.table import api_keys
from serve_app.database import Database
from serve_app.errors import KeyNotFound, Unavailable
from serve_app.usage.quotas import NO_QUOTAS, Quotas

# How exact `last_used_at` is: each use would be a write.
_USE_SECONDS = 600.0


@dataclass(frozen=True)
class NewKey:
    """The properties of a key to create."""

    name: str
    tenant: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    quotas: Quotas = NO_QUOTAS


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored: all but its secret."""

    id: str
    name: str
    tenant: str
    digest: str
    scopes: frozenset[str]
    quotas: Quotas
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    replaces: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        is_expired = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not is_expired

    def identity(self) -> Identity:
        """Return what the key's owner may do."""
        return Identity(
            self.tenant, f"key:{self.id}", self.scopes, self.expires_at, self.quotas
        )


class KeyStore:
    """The keys in a database; methods block and may raise Unavailable."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], secret: bytes
    ) -> None:
        self._database = database
        self._clock = clock
        self._secret = server_secret.derived(secret, "api keys")

    def create(self, new: NewKey) -> tuple[ApiKey, KeyText]:
        """Create a key; its text can't be read again."""
        with self._database.writing() as connection:
            return self._insert(connection, new)

    def listed(self) -> list[ApiKey]:
        """Return all keys, also revoked and expired ones, oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        with self._database.reading() as connection:
            return [_to_key(row) for row in connection.execute(query)]

    def rotate(self, key_id: str, overlap_seconds: float) -> tuple[ApiKey, KeyText]:
        """Create a key that replaces another; that one expires after the overlap.

        If it was replaced before, the new key does not expire with it. Raises
        KeyNotFound unless the old key is valid.
        """
        now = self._clock()
        with self._database.writing() as connection:
            old = _valid(connection, key_id, now)
            expires_at = _last_of(connection, old).expires_at
            ends_at = now + timedelta(seconds=overlap_seconds)
            if old.expires_at is not None:
                ends_at = min(ends_at, old.expires_at)
            _change(connection, key_id, {"expires_at": ends_at})
            new = NewKey(old.name, old.tenant, old.scopes, expires_at, old.quotas)
            return self._insert(connection, new, replaces=key_id)

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key; one that was revoked before stays so.

        Raises KeyNotFound for an unknown id.
        """
        with self._database.writing() as connection:
            key = _find(connection, key_id)
            if key is None:
                raise _unknown(key_id)
            if key.revoked_at is None:
                _change(connection, key_id, {"revoked_at": self._clock()})
            return _known(connection, key_id)

    def find(self, key_id: str) -> ApiKey | None:
        """Return a key and record its use, or None for an unknown id."""
        with self._database.reading() as connection:
            key = _find(connection, key_id)
        if key is not None:
            # A database that can only be read must not keep everyone out.
            with suppress(Unavailable):
                self._record_use(key)
        return key

    def has_any(self) -> bool:
        """Whether a key was ever created, even if it is revoked."""
        query = select(api_keys.c.id).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def is_text_of(self, text: KeyText, key: ApiKey) -> bool:
        """Whether a key was created with `text`; takes the same time if it was not."""
        return hmac.compare_digest(api_key.digest(text, self._secret), key.digest)

    def _insert(
        self, connection: Connection, new: NewKey, replaces: str | None = None
    ) -> tuple[ApiKey, KeyText]:
        text = api_key.generate()
        values = {
            "id": text.id,
            "name": new.name,
            "tenant": new.tenant,
            "digest": api_key.digest(text, self._secret),
            "scopes": sorted(new.scopes),
            "quotas": asdict(new.quotas),
            "created_at": self._clock(),
            "expires_at": new.expires_at,
            "replaces": replaces,
        }
        connection.execute(insert(api_keys).values(**values))
        return _known(connection, text.id), text

    def _record_use(self, key: ApiKey) -> None:
        now = self._clock()
        before = now - timedelta(seconds=_USE_SECONDS)
        if key.last_used_at is not None and key.last_used_at > before:
            return
        last_used_at = api_keys.c.last_used_at
        query = update(api_keys).where(
            api_keys.c.id == key.id, or_(last_used_at.is_(None), last_used_at <= before)
        )
        with self._database.writing() as connection:
            connection.execute(query.values(last_used_at=now))


def _find(connection: Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    return None if row is None else _to_key(row)


def _known(connection: Connection, key_id: str) -> ApiKey:
    query = select(api_keys).where(api_keys.c.id == key_id)
    return _to_key(connection.execute(query).one())


def _valid(connection: Connection, key_id: str, now: datetime) -> ApiKey:
    key = _find(connection, key_id)
    if key is None or not key.is_valid(now):
        raise _unknown(key_id)
    return key


def _last_of(connection: Connection, key: ApiKey) -> ApiKey:
    """Return the last of the keys that replaced one after the other, or `key`.

    It was not replaced, so it expires when all of them were meant to.
    """
    query = (
        select(api_keys)
        .where(api_keys.c.replaces == key.id)
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id)
        .limit(1)
    )
    row = connection.execute(query).first()
    return key if row is None else _last_of(connection, _to_key(row))


def _change(connection: Connection, key_id: str, values: dict[str, Any]) -> None:
    query = update(api_keys).where(api_keys.c.id == key_id)
    connection.execute(query.values(**values))


def _unknown(key_id: str) -> KeyNotFound:
    return KeyNotFound(
        f"There is no valid API key with the id {key_id[:40]!r}. List them with "
        "`stemserve keys list` or GET /keys."
    )


def _to_key(row: Row[Any]) -> ApiKey:
    values = row._asdict()
    scopes = frozenset(values.pop("scopes"))
    # Fields that a newer version has added are ignored.
    known = Quotas.__dataclass_fields__
    stored = values.pop("quotas")
    quotas = Quotas(**{name: stored[name] for name in known if name in stored})
    return ApiKey(**values, scopes=scopes, quotas=quotas)
