"""The check of the properties of a key to create."""

from collections.abc import Collection
from datetime import datetime

from serve_app.access import scopes
from serve_app.access.keys import NewKey
from serve_app.access.wire import KeyRequest
from serve_app.errors import InvalidInput


def checked(given: KeyRequest, now: datetime) -> NewKey:
    """Return the key that a request describes.

    Raises InvalidInput for invalid scopes, and for a time that has passed.
    """
    if given.expires_at is not None and given.expires_at <= now:
        raise InvalidInput(
            "The time at which the key expires must be in the future, got "
            f"{given.expires_at.isoformat()}."
        )
    return NewKey(
        given.name,
        given.tenant or given.name,
        scopes.parsed(given.scopes),
        given.expires_at,
        given.quotas.to_quotas(),
    )


def systems_of(new: NewKey) -> frozenset[str]:
    """Return the systems that the scopes of a key name."""
    named = {scope.partition(":")[0] for scope in new.scopes}
    return frozenset(named - {scopes.ANY, scopes.ADMIN})


def check_systems(new: NewKey, systems: Collection[str]) -> None:
    """Raise InvalidInput if the scopes of a key name other systems than these."""
    for system in sorted(systems_of(new) - set(systems)):
        names = ", ".join(sorted(systems))
        raise InvalidInput(
            f"The scopes name an unknown system, {system!r}. Choose one of: {names}, "
            "or `*` for all."
        )
