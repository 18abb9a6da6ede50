"""The wire models of API keys, made from the keys."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from serve_app.access.api_key import KeyText
from serve_app.access.keys import ApiKey
from serve_app.access.wire import CreatedKey, KeyView


def key_view(key: ApiKey, now: datetime) -> KeyView:
    """Return what an admin sees of a key."""
    return KeyView(**_fields(key, now))


def created_key(key: ApiKey, text: KeyText, now: datetime) -> CreatedKey:
    """Return a new key, with its text."""
    return CreatedKey(**_fields(key, now), key=text.text)


def _fields(key: ApiKey, now: datetime) -> dict[str, Any]:
    if key.revoked_at is not None:
        state = "revoked"
    else:
        state = "valid" if key.is_valid(now) else "expired"
    quotas = asdict(key.quotas)
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "state": state,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "replaces": key.replaces,
        "quotas": {name: each for name, each in quotas.items() if each is not None},
    }
