"""The routes and state that a system adds to the HTTP application."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter

Health = Callable[[], Awaitable[Mapping[str, Any]]]

# Code examples by call of the OpenAPI description: (section, path, method). Each value
# maps a file name without suffix to what its label adds.
Examples = Mapping[tuple[str, str, str], Mapping[str, str]]


@dataclass(frozen=True)
class ApiPart:
    """The routes of a system, and the values they need in `app.state`.

    `public_routers` need no tenant; `routers` do where tenants are configured. The
    names in `state` must be unique in the application. `health` returns the system's
    fields of /health: `ready`, and `reason` if it is not ready; the `health_names` at
    the top level are never another system's. Pages of `cors_origins` may use its
    routes; None means the origins of the whole application. `description` is Markdown
    for /docs, `sent` describes requests that the system sends, and `examples` are in
    `examples_dir`.
    """

    name: str
    routers: Sequence[APIRouter]
    public_routers: Sequence[APIRouter] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    health: Health | None = None
    health_names: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] | None = None
    description: str = ""
    sent: APIRouter | None = None
    examples: Examples = field(default_factory=dict)
    examples_dir: Path | None = None
