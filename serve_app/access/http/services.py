"""The services that the routes of access use."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from serve_app.access.keys import KeyStore


@dataclass(frozen=True)
class AccessServices:
    """The keys, and the systems that their scopes may name."""

    keys: KeyStore
    clock: Callable[[], datetime]
    systems: Collection[str] = ()
