"""Access control of an application, from the settings."""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from deployments.kernel import Kernel
from serve_app.access.audit import Audit
from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.part import part
from serve_app.access.http.services import AccessServices
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore
from serve_app.access.links import Links
from serve_app.access.server_secret import server_secret
from serve_app.api.door import Door
from serve_app.api.part import ApiPart
from serve_app.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """The door of an application, and its routes."""

    door: Door
    part: ApiPart


def signer(kernel: Kernel) -> Links:
    """Return what makes and checks the links of all applications and dispatchers."""
    return Links(_secret(kernel), kernel.clock, kernel.settings.link_seconds)


def _secret(kernel: Kernel) -> bytes:
    given = kernel.settings.access_secret
    configured = "" if given is None else given.get_secret_value()
    return server_secret(kernel.database, configured)


def built(settings: Settings, kernel: Kernel, systems: Collection[str]) -> Access:
    """Return the access control of an application that runs `systems`."""
    secret, admin = _secret(kernel), settings.admin_key
    keys = KeyStore(kernel.database, kernel.clock, secret)
    authenticator = Authenticator(
        KeyCache(keys),
        kernel.clock,
        admin_key="" if admin is None else admin.get_secret_value(),
    )
    for name in set(settings.open_systems) - set(systems):
        logger.warning("STEMSERVE_OPEN_SYSTEMS has an unknown system name=%s", name)
    policy = AccessPolicy(
        settings.require_access,
        frozenset(settings.open_systems),
        settings.tenant_header,
    )
    services = AccessServices(keys, kernel.clock, systems)
    door = AccessDoor(
        authenticator,
        policy,
        signer(kernel),
        Audit(settings.audit, kernel.clock),
    )
    return Access(door, part(services))
