"""The door with access control: credentials, scopes and tenants."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from serve_app.access import scopes
from serve_app.access.audit import Audit
from serve_app.access.authenticator import Authenticator
from serve_app.access.http import audited
from serve_app.access.http.credentials import credential_of
from serve_app.access.http.link_token import remove_token, token_of
from serve_app.access.http.rates import Rates
from serve_app.access.identity import ANY_TENANT, Identity
from serve_app.access.links import Grant, Links
from serve_app.api import clients, pieces
from serve_app.api.clients import Client
from serve_app.api.door import Admission, Ended, check_named
from serve_app.api.links import Link
from serve_app.api.route_rules import Need, RouteRule, route_path
from serve_app.errors import Forbidden, Unauthorized
from serve_app.usage.quotas import NO_QUOTAS, Quotas

logger = logging.getLogger(__name__)

_KEY = "key:"
# Before the name of the credentials that a link was made with.
_LINK = "link:"
# The place in the scope of a request for the name and tenant of its credentials.
_OWNER = "stemserve.owner"


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

    def __init__(
        self,
        authenticator: Authenticator,
        policy: AccessPolicy,
        links: Links | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._policy = policy
        self._links = links
        self._audit = audit
        self._rates = Rates()
        self._has_warned = False
        # As the last request found it.
        self._was_open = False

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
        is_open = self._was_open = await self.is_open()
        named = clients.of(scope, self._policy.tenant_header)
        credential = await self._credential_of(scope)
        if credential is None:
            linked = await self._linked(scope, rule, named)
            if linked is not None:
                return self._counted(scope, linked, NO_QUOTAS)
            self._check_open(scope, rule, is_open)
            self._check_named(rule, named)
            return self._counted(scope, named, NO_QUOTAS)
        identity = await self._authenticator.identify(credential)
        scope[_OWNER] = identity.credential, identity.tenant
        _check_scope(identity, rule.scope(scope["method"]))
        self._check_named(rule, named)
        return self._counted(scope, _client(identity, named), identity.quotas)

    def _check_named(self, rule: RouteRule, named: Client) -> None:
        """Raise TenantRequired if a gateway must name the tenant, and did not."""
        if rule.needs_tenant:
            check_named(named, self._policy.tenant_header)

    def _counted(self, scope: Scope, client: Client, quotas: Quotas) -> Admission:
        """Count a request of a client whose credentials have these quotas."""
        client = replace(client, quotas=quotas.over(self._policy.quotas))
        most = client.quotas.requests_per_minute
        # One download counts once, however many pieces the proxy requests.
        if most is None or not pieces.is_first(Headers(scope=scope)):
            return Admission(client)
        rate = self._rates.count(client, most)
        return Admission(client, rate.headers, rate.refusal())

    async def check_again(self, client: Client) -> None:
        """Raise Unauthorized if the client's key is no longer valid."""
        credential = client.credential.removeprefix(_LINK)
        if credential.startswith(_KEY):
            await self._authenticator.check_key(credential.removeprefix(_KEY))

    def record(self, ended: Ended) -> None:
        """Write a line of the audit log about a request that has ended."""
        if self._audit is None or not audited.is_recorded(ended):
            return
        # A client that was refused may still have valid credentials.
        credential, tenant = ended.scope.get(_OWNER, ("", ""))
        if ended.client is not None:
            credential, tenant = ended.client.credential, ended.client.tenant
        request = audited.http_request(ended, credential, tenant)
        self._audit.request(request, is_open=self._was_open)

    def link(self, client: Client, target: str, until: datetime | None = None) -> Link:
        """Return a link that opens a path as this client does.

        It is the path alone for clients without credentials. Links that were made with
        a link expire with that.
        """
        if self._links is None or not client.credential:
            return Link(target)
        times = [each for each in (until, client.expires_at) if each is not None]
        made_with = client.credential.removeprefix(_LINK)
        until = min(times, default=None)
        return self._links.signed(target, client.tenant, made_with, until)

    async def _linked(
        self, scope: Scope, rule: RouteRule, named: Client
    ) -> Client | None:
        """Return the client of a request by a link, or None if it has none.

        Raises Unauthorized if the link is not valid for the request, and Forbidden if a
        gateway names another tenant.
        """
        if self._links is None or not rule.opens_by_link(scope["method"]):
            return None
        token = token_of(scope) if await self._authenticator.is_configured() else None
        if token is None:
            return None
        grant = self._links.opened(token, route_path(scope))
        remove_token(scope)
        scope[_OWNER] = f"{_LINK}{grant.credential}", grant.tenant
        client = _reader(grant, rule.scope(scope["method"]), named)
        try:
            await self.check_again(client)
        except Unauthorized as error:
            raise Unauthorized(
                "The API key that made this link was revoked, or it has expired. Get a "
                "new link with valid credentials."
            ) from error
        return client

    def _check_open(self, scope: Scope, rule: RouteRule, is_open: bool) -> None:
        """Raise Unauthorized unless a request without credentials may come in."""
        if self._opens_without_credentials(rule, is_open):
            self._warn_once(scope, is_open)
            return
        if self._links is not None and token_of(scope) is not None:
            raise Unauthorized(
                "Links open only GET and HEAD requests that read what belongs to a "
                "job. Send `Authorization: Bearer …` with an API key or a token."
            )
        raise Unauthorized(
            "Credentials are required: send `Authorization: Bearer …` with an API key "
            "or a token.",
            has_credentials=False,
        )

    def _opens_without_credentials(self, rule: RouteRule, is_open: bool) -> bool:
        if rule.need is Need.SCOPE:
            return is_open or self._is_system_open(rule)
        return rule.need is Need.OPERATOR and is_open

    async def _credential_of(self, scope: Scope) -> str | None:
        """Return the credential of a request; None where nobody can have one.

        There a header is meant for a proxy in front of this server.
        """
        if not await self._authenticator.is_configured():
            return None
        return credential_of(scope)

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


def _reader(grant: Grant, allowed: str, named: Client) -> Client:
    """Return the client that a link admits, with the scope `allowed`.

    Raises Forbidden if a header names another tenant than the link does.
    """
    if named.is_tenant and named.name != grant.tenant:
        raise Forbidden(
            "The link belongs to another tenant than the one that the gateway named. "
            "Get a new one as that tenant."
        )
    return Client(
        grant.tenant or named.name,
        bool(grant.tenant),
        f"{_LINK}{grant.credential}",
        frozenset({allowed}),
        grant.expires_at,
    )
