"""Access control of an application, from the settings."""

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deployments.kernel import Kernel
from serve_app.access.audit import Audit
from serve_app.access.authenticator import Authenticator
from serve_app.access.claims import ClaimRules
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.part import part
from serve_app.access.http.services import AccessServices
from serve_app.access.http.usage import usage_part
from serve_app.access.jwks import Jwks, JwksSource
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore
from serve_app.access.links import Links
from serve_app.access.server_secret import server_secret
from serve_app.access.tokens import JwtTokens
from serve_app.api.door import Door
from serve_app.api.part import ApiPart
from serve_app.outbound.client import CheckedNetwork
from serve_app.settings import Settings, environment
from serve_app.usage.quotas import Quotas
from serve_app.usage.store import UsageStore

logger = logging.getLogger(__name__)

# A secret that older deployments have. Its default was public.
_UNUSED_SECRET = "JWT_SECRET_KEY"  # noqa: S105  the name of a variable


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


def signer(kernel: Kernel) -> Links:
    """Return what makes and checks the links of all applications and dispatchers."""
    return Links(_secret(kernel), kernel.clock, kernel.settings.link_seconds)


def _secret(kernel: Kernel) -> bytes:
    return server_secret(kernel.database, kernel.settings.given_access_secret)


def built(settings: Settings, kernel: Kernel, systems: Collection[str]) -> Access:
    """Return the access control of an application that runs `systems`."""
    secret, admin = _secret(kernel), settings.admin_key
    keys = KeyStore(kernel.database, kernel.clock, secret)
    _warn_of_secret(settings)
    jwks = _jwks(settings)
    authenticator = Authenticator(
        KeyCache(keys),
        kernel.clock,
        None if jwks is None else _tokens(settings, jwks, kernel),
        admin_key="" if admin is None else admin.get_secret_value(),
    )
    for name in set(settings.open_systems) - set(systems):
        logger.warning("STEMSERVE_OPEN_SYSTEMS has an unknown system name=%s", name)
    policy = AccessPolicy(
        settings.require_access,
        frozenset(settings.open_systems),
        settings.tenant_header,
        quotas_of(settings),
    )
    services = AccessServices(keys, kernel.clock, systems)
    background = () if jwks is None else (jwks.keep_fresh,)
    door = AccessDoor(
        authenticator,
        policy,
        signer(kernel),
        Audit(settings.audit, kernel.clock),
    )
    usage = usage_part(UsageStore(kernel.database))
    return Access(door, (part(services, background), usage))


def _jwks(settings: Settings) -> Jwks | None:
    """Return the keys of the issuer of tokens, or None if none is configured."""
    if not settings.effective_jwks_url:
        return None
    is_private = settings.has_private_jwks
    network = CheckedNetwork(is_allowed=lambda _: is_private)
    url, rules = settings.effective_jwks_url, settings.jwks_url_rules
    return Jwks(JwksSource(url, rules, network).fetch)


def _tokens(settings: Settings, jwks: Jwks, kernel: Kernel) -> JwtTokens:
    rules = ClaimRules(
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_leeway_seconds,
        settings.jwt_tenant_claim,
        settings.jwt_scope_claim,
    )
    return JwtTokens(jwks, rules, kernel.clock)


def _warn_of_secret(settings: Settings) -> None:
    is_set = _UNUSED_SECRET in environment.cleaned(os.environ)
    if is_set and not settings.effective_jwks_url:
        logger.warning(
            "%s is set but verifies nothing: tokens are verified with the public keys "
            "of their issuer; set BETTER_AUTH_URL or JWKS_URL to accept tokens",
            _UNUSED_SECRET,
        )
