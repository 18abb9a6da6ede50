"""The routes and state that a system adds to the HTTP application."""

from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter

from serve_app.api.route_rules import MAX_PLAIN_BYTES, Need, RouteRule

Health = Callable[[], Awaitable[Mapping[str, Any]]]

# Code examples by call of the OpenAPI description: (section, path, method). Each value
# maps a file name without suffix to what its label adds.
Examples = Mapping[tuple[str, str, str], Mapping[str, str]]


@dataclass(frozen=True)
class ApiPart:
    """The routes of a system, and the values they need in `app.state`.

    `routers` require credentials with the scope `name:read` or `name:write`, by their
    method, unless the system is open; `scope` is another name, and "" any system's.
    Those of `reading_routers` always require `name:read`. `public_routers` require
    nothing, `known_routers` any valid credentials, `admin_routers` the scope `admin`,
    `operator_routers` too unless access is open, and routes of `self_checked_routers`
    check credentials of their own. If the part `is_linkable`, signed links open what
    its `routers` GET.

    The bodies of its requests that are no forms may have `max_body_bytes`. The tasks in
    `background` run as long as the application does.

    The names in `state` must be unique in the application. `health` returns the
    system's fields of /health: `ready`, and `reason` if it is not ready; the
    `health_names` at the top level are never another system's. An application that is
    ready has the status `healthy` if that is the `healthy_status` of any part. Pages of
    `cors_origins` may use its routes; None means the origins of the whole application.
    `description` is Markdown for /docs, `sent` describes requests that the system
    sends, and `examples` are in `examples_dir`. Its jobs are of the `kinds`.
    """

    name: str
    routers: Sequence[APIRouter]
    reading_routers: Sequence[APIRouter] = ()
    public_routers: Sequence[APIRouter] = ()
    known_routers: Sequence[APIRouter] = ()
    admin_routers: Sequence[APIRouter] = ()
    operator_routers: Sequence[APIRouter] = ()
    self_checked_routers: Sequence[APIRouter] = ()
    scope: str | None = None
    max_body_bytes: int = MAX_PLAIN_BYTES
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    is_linkable: bool = True
    state: Mapping[str, Any] = field(default_factory=dict)
    health: Health | None = None
    health_names: tuple[str, ...] = ()
    healthy_status: Literal["ok", "healthy"] = "ok"
    cors_origins: tuple[str, ...] | None = None
    description: str = ""
    sent: APIRouter | None = None
    examples: Examples = field(default_factory=dict)
    examples_dir: Path | None = None
    kinds: tuple[str, ...] = ()

    @property
    def system(self) -> str:
        """The system in the scopes that its routes require; "" for any."""
        return self.name if self.scope is None else self.scope

    def routers_by_rule(self) -> Iterator[tuple[RouteRule, Sequence[APIRouter]]]:
        """Yield the routers, with what their routes require."""
        rule = RouteRule(Need.SCOPE, self.system, max_body_bytes=self.max_body_bytes)
        yield replace(rule, need=Need.NOTHING), self.public_routers
        yield replace(rule, is_linkable=self.is_linkable), self.routers
        yield replace(rule, only_reads=True), self.reading_routers
        yield replace(rule, need=Need.CREDENTIALS), self.known_routers
        yield replace(rule, need=Need.ADMIN), self.admin_routers
        yield replace(rule, need=Need.OPERATOR), self.operator_routers
        yield replace(rule, need=Need.OWN), self.self_checked_routers
