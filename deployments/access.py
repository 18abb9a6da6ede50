"""Access control of an application, from the settings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deployments.kernel import Kernel
from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.part import part
from serve_app.access.http.services import AccessServices
from serve_app.access.http.usage import usage_part
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore
from serve_app.access.server_secret import server_secret
from serve_app.api.door import Door
from serve_app.api.part import ApiPart
from serve_app.settings import Settings
from serve_app.usage.quotas import Quotas
from serve_app.usage.store import UsageStore


@dataclass(frozen=True)
class Access:
    """The door of an application, and its routes."""

    door: Door
    parts: Sequence[ApiPart]


def quotas_of(settings: Settings) -> Quotas:
    """Return the quotas of clients whose credentials have none."""
    return Quotas(
        settings.requests_per_minute,
        settings.tenant_jobs_at_once,
        settings.tenant_jobs_queued,
        settings.tenant_audio_minutes_per_day,
        settings.tenant_stored_bytes,
    )


def built(settings: Settings, kernel: Kernel, systems: Collection[str]) -> Access:
    """Return the access control of an application that runs `systems`."""
    given, admin = settings.access_secret, settings.admin_key
    configured = "" if given is None else given.get_secret_value()
    secret = server_secret(kernel.database, configured)
    keys = KeyStore(kernel.database, kernel.clock, secret)
    authenticator = Authenticator(
        KeyCache(keys),
        kernel.clock,
        admin_key="" if admin is None else admin.get_secret_value(),
    )
    policy = AccessPolicy(
        settings.require_access,
        frozenset(settings.open_systems),
        settings.tenant_header,
        quotas_of(settings),
    )
    services = AccessServices(keys, kernel.clock, systems)
    parts = (part(services), usage_part(UsageStore(kernel.database)))
    return Access(AccessDoor(authenticator, policy), parts)
