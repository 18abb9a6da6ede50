"""The check of the properties of a key to create."""

from collections.abc import Collection
from datetime import datetime

from serve_app.access import scopes
from serve_app.access.keys import NewKey
from serve_app.access.wire import KeyRequest
from serve_app.errors import InvalidInput


def checked(given: KeyRequest, systems: Collection[str], now: datetime) -> NewKey:
    """Return the key that a request describes.

    Raises InvalidInput for scopes of unknown `systems`, and for a time that has passed.
    """
    found = scopes.parsed(given.scopes)
    for scope in sorted(found - {scopes.ADMIN}):
        system = scope.partition(":")[0]
        if system not in (scopes.ANY, *systems):
            names = ", ".join(sorted(systems))
            raise InvalidInput(
                f"The scope {scope!r} names an unknown system. Choose one of: {names}, "
                "or `*` for all."
            )
    if given.expires_at is not None and given.expires_at <= now:
        raise InvalidInput(
            f"expires_at must be in the future, got {given.expires_at.isoformat()}."
        )
    return NewKey(
        given.name,
        given.tenant or given.name,
        found,
        given.expires_at,
        given.quotas.to_quotas(),
    )
