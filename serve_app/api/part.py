"""What a system adds to the HTTP application."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter

Health = Callable[[], Awaitable[Mapping[str, Any]]]

# Of the calls of an OpenAPI description (part, path, method): the files of its
# examples, without ending, and what tells them apart in their labels.
Examples = Mapping[tuple[str, str, str], Mapping[str, str]]


@dataclass(frozen=True)
class ApiPart:
    """The routes of a system, and what they find in `app.state`.

    `public_routers` answer whoever asks; the others know their client. `state` is by
    name, which must be the system's own. `health` is its part of /health: `ready`, and
    `reason` if it is not; at the top of /health, `health_names` are never another
    system's. Pages of `cors_origins` may use its routes; None is those of the whole
    application. `description` is Markdown for /docs, `sent` describes what the system
    asks of others, and `examples` lie in `examples_dir`.
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
