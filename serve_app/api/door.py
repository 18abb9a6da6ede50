"""Who may come in: the check of each request before its body is read."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import clients, problems
from serve_app.api.clients import Client
from serve_app.api.links import Link
from serve_app.api.response_headers import keep_private
from serve_app.api.route_rules import KnownRoute, Need, RouteRule, RouteRules
from serve_app.errors import AppError, TenantRequired, Unauthorized

# The client's place in the scope of a request.
_CLIENT = "stemserve.client"
# Longer requests are checked again each time: a revoked key must end them within 5 s.
_RECHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Admission:
    """A request's client, and headers of the response.

    It may come in, unless there is a `refusal`: its client has reached a limit.
    """

    client: Client
    headers: Mapping[str, str] = field(default_factory=dict)
    refusal: AppError | None = None


@dataclass(frozen=True)
class Ended:
    """A request that has ended, with its client if it came in.

    `status` is 0 if its client left before the response. `location` is the path or URL
    of what it created, or empty.
    """

    scope: Scope
    route: KnownRoute
    client: Client | None
    status: int
    location: str = ""


class Door(Protocol):
    """Decides which requests may come in."""

    async def is_open(self) -> bool:
        """Whether requests without credentials may come in; raise Unavailable."""

    async def admit(self, scope: Scope, rule: RouteRule) -> Admission:
        """Return the client of a request to a route with `rule`.

        Raises Unauthorized, Forbidden and other AppErrors for one that must stay out.
        """

    async def check_again(self, client: Client) -> None:
        """Raise Unauthorized if the client's credentials were revoked."""

    def record(self, ended: Ended) -> None:
        """Record a request that has ended, for the audit log."""

    def link(self, client: Client, target: str, until: datetime | None = None) -> Link:
        """Return a link to a path, see `links.Signer`."""


class OpenDoor:
    """Admits everyone, and only requests with a tenant where a header names it."""

    def __init__(self, tenant_header: str = "") -> None:
        self._tenant_header = tenant_header

    async def is_open(self) -> bool:
        """Return True."""
        return True

    async def admit(self, scope: Scope, rule: RouteRule) -> Admission:
        """Return the tenant that the header names, or the peer."""
        client = clients.of(scope, self._tenant_header)
        if rule.needs_tenant:
            check_named(client, self._tenant_header)
        return Admission(client)

    async def check_again(self, client: Client) -> None:
        """Accept: there are no credentials."""

    def record(self, ended: Ended) -> None:
        """Do nothing: there is no audit log without access control."""

    def link(self, client: Client, target: str, until: datetime | None = None) -> Link:
        """Return the path: it is open without a token."""
        return Link(target)


def check_named(client: Client, tenant_header: str) -> None:
    """Raise TenantRequired if a header must name the tenant, and does not."""
    if tenant_header and not client.is_tenant:
        raise TenantRequired(
            f"The header {tenant_header} is required. It must be present once and "
            "contain the name of one tenant, without a comma. The gateway in front of "
            "this service sets it: send the request through the gateway."
        )


def let_in(scope: Scope, client: Client) -> None:
    """Make `client` the one whose request has this scope."""
    scope[_CLIENT] = client


def client_of(scope: Scope) -> Client:
    """Return the client of a request that came in."""
    client: Client = scope[_CLIENT]
    return client


class CheckedDoor:
    """Let requests in through a `door`; the others are refused, their body unread.

    A request that takes longer is checked again, and ended once its credentials were
    revoked: with 401, or by closing the connection if the response has begun. Requests
    to unknown paths come in, for the 404.
    """

    def __init__(self, app: ASGIApp, door: Door, rules: RouteRules) -> None:
        self._app = app
        self._door = door
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._rules.find(scope) if scope["type"] == "http" else None
        if route is None:
            let_in(scope, clients.peer(scope))
            await self._app(scope, receive, send)
            return
        response = _Response(send, is_private=route.rule.need is not Need.NOTHING)
        client = None
        try:
            admission = await self._door.admit(scope, route.rule)
            client = admission.client
            let_in(scope, client)
            response.added.update(admission.headers)
            if admission.refusal is not None:
                raise admission.refusal
            await self._run(scope, receive, response.send, client)
        except AppError as error:
            # The response has begun: the server must close the connection.
            if response.status:
                raise
            refusal = await problems.on_app_error(Request(scope), error)
            await refusal(scope, receive, response.send)
        finally:
            ended = Ended(scope, route, client, response.status, response.location)
            self._door.record(ended)

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, client: Client
    ) -> None:
        """Run the application until its client's credentials are revoked."""
        if not client.credential:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(None) as running:
                watch = _Watch(self._door, client, running)
                try:
                    await self._app(scope, receive, send)
                finally:
                    watch.end()
        except TimeoutError as error:
            if not running.expired():
                raise
            raise Unauthorized(
                "The credentials were revoked while the request ran. Send it again "
                "with valid ones."
            ) from error


class _Response:
    """The response to a request, with `added` headers."""

    def __init__(self, send: Send, *, is_private: bool) -> None:
        self.added = dict[str, str]()
        self.status, self.location = 0, ""
        self._send = send
        self._is_private = is_private

    async def send(self, message: Message) -> None:
        """Send a message of the response."""
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers.update(self.added)
            if self._is_private:
                keep_private(headers)
            self.status = message["status"]
            self.location = headers.get("location", "")
        await self._send(message)


class _Watch:
    """Ends a long request when its client's credentials are revoked."""

    def __init__(self, door: Door, client: Client, running: asyncio.Timeout) -> None:
        self._door = door
        self._client = client
        self._running = running
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        # Most requests end before: a timer costs less than a task.
        self._timer = self._loop.call_later(_RECHECK_SECONDS, self._begin)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                await self._door.check_again(self._client)
            except Unauthorized:
                self._running.reschedule(self._loop.time())
                return
            except AppError:
                pass  # The database is down: the next check may succeed.
            await asyncio.sleep(_RECHECK_SECONDS)
