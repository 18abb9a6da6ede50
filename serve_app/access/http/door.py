"""The door with access control: credentials, scopes and tenants."""

import logging
from dataclasses import dataclass, replace
from ipaddress import ip_address

from starlette.types import Scope

from serve_app.access import scopes
from serve_app.access.authenticator import Authenticator
from serve_app.access.http.credentials import credential_of
from serve_app.access.http.rates import Rates
from serve_app.access.identity import ANY_TENANT, Identity
from serve_app.api import clients
from serve_app.api.clients import Client
from serve_app.api.door import Admission, check_named
from serve_app.api.route_rules import Need, RouteRule
from serve_app.errors import Forbidden, Unauthorized
from serve_app.usage.quotas import NO_QUOTAS, Quotas

logger = logging.getLogger(__name__)

_KEY = "key:"


@dataclass(frozen=True)
class AccessPolicy:
    """What requests without credentials may do.

    With `is_required` None they may come in until credentials are configured. They may
    always use the `open_systems`. `tenant_header` is the header in which a gateway
    names the tenant; if it is empty, there is no gateway. The `quotas` are those of
    clients whose credentials have none.
    """

    is_required: bool | None = None
    open_systems: frozenset[str] = frozenset()
    tenant_header: str = ""
    quotas: Quotas = NO_QUOTAS


class AccessDoor:
    """Admits requests by their credentials. For one event loop."""

    def __init__(self, authenticator: Authenticator, policy: AccessPolicy) -> None:
        self._authenticator = authenticator
        self._policy = policy
        self._rates = Rates()
        self._has_warned = False

    async def is_open(self) -> bool:
        """Whether requests without credentials may come in; raise Unavailable."""
        if self._policy.is_required is not None:
            return not self._policy.is_required
        return not await self._authenticator.is_configured()

    async def admit(self, scope: Scope, rule: RouteRule) -> Admission:
        """Return the client of a request to a route with `rule`.

        Raises Unauthorized without valid credentials, Forbidden if they don't allow the
        request, TenantRequired, BadRequest and Unavailable.
        """
        if rule.need in (Need.NOTHING, Need.OWN):
            return Admission(clients.peer(scope))
        named = clients.of(scope, self._policy.tenant_header)
        credential = credential_of(scope)
        if credential is None:
            await self._check_open(scope, rule)
            check_named(named, self._policy.tenant_header)
            return self._counted(named, NO_QUOTAS)
        identity = await self._authenticator.identify(credential)
        _check_scope(identity, rule.scope(scope["method"]))
        check_named(named, self._policy.tenant_header)
        return self._counted(_client(identity, named), identity.quotas)

    def _counted(self, client: Client, quotas: Quotas) -> Admission:
        """Count a request of a client whose credentials have these quotas."""
        client = replace(client, quotas=quotas.over(self._policy.quotas))
        most = client.quotas.requests_per_minute
        if most is None:
            return Admission(client)
        rate = self._rates.count(client, most)
        return Admission(client, rate.headers, rate.refusal())

    async def check_again(self, client: Client) -> None:
        """Raise Unauthorized if the client's key is no longer valid."""
        if client.credential.startswith(_KEY):
            key_id = client.credential.removeprefix(_KEY)
            await self._authenticator.check_key(key_id)

    def record(self, scope: Scope, client: Client | None, status: int) -> None:
        """Record a request that has ended, for the audit log."""

    async def _check_open(self, scope: Scope, rule: RouteRule) -> None:
        """Raise Unauthorized unless a request without credentials may come in."""
        is_open = await self.is_open()
        if rule.need is Need.SCOPE and (is_open or self._is_system_open(rule)):
            self._warn_once(scope, is_open)
            return
        raise Unauthorized(
            "Credentials are required: send `Authorization: Bearer …` with an API key "
            "or a token.",
            has_credentials=False,
        )

    def _is_system_open(self, rule: RouteRule) -> bool:
        # What belongs to any system is open if one is.
        opened = self._policy.open_systems
        return rule.system in opened if rule.system else bool(opened)

    def _warn_once(self, scope: Scope, is_open: bool) -> None:
        if not is_open or self._has_warned or _is_loopback(scope):
            return
        self._has_warned = True
        logger.warning(
            "access is open: everyone who reaches this server can use it; create an "
            "API key with `stemserve keys create`, or set BETTER_AUTH_URL"
        )


def _is_loopback(scope: Scope) -> bool:
    address = (scope.get("client") or ("", 0))[0]
    try:
        return ip_address(address).is_loopback
    except ValueError:
        # A Unix socket.
        return True


def _check_scope(identity: Identity, required: str) -> None:
    if scopes.allow(identity.scopes, required):
        return
    raise Forbidden(
        "These credentials don't allow this request, which requires the scope "
        f"{required}. Ask the operator for a key with that scope.",
        required,
    )


def _client(identity: Identity, named: Client) -> Client:
    """Return the client that an identity acts for.

    Raises Forbidden if a header names another tenant than that of the credentials.
    """
    if identity.tenant == ANY_TENANT:
        return Client(named.name, named.is_tenant, identity.credential, identity.scopes)
    tenant = clients.tenant_name(identity.tenant)
    if named.is_tenant and named.name != tenant:
        raise Forbidden(
            "These credentials belong to another tenant than the one that the gateway "
            "named. Use a key that may act for any tenant: `stemserve keys create NAME "
            "--tenant '*'`."
        )
    return Client(tenant, True, identity.credential, identity.scopes)
