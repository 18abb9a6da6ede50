"""The interface of a system: its pools, its API routes, its dispatchers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Protocol

from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from deployments.kernel import Kernel
from deployments.pool import Strict
from serve_app.api.part import ApiPart
from serve_app.jobs.dispatcher import Dispatcher
from serve_app.settings import Settings
from serve_app.settings.check import Rule

# Pools are applications until Serve has deployed them, and handles in replicas.
Pools = Mapping[str, Application]
Handles = Mapping[str, DeploymentHandle]

_PACKAGE = __name__.rpartition(".")[0]
_NAME = "SYSTEM"


class Loop(Protocol):
    """Work that runs as long as the dispatcher does."""

    async def run_forever(self) -> None:
        """Work until cancelled."""

    def status(self) -> Mapping[str, Any]:
        """Return the status, for /health."""


@dataclass(frozen=True)
class DispatcherPart:
    """What a system runs in the dispatcher's process.

    `sweeps` delete expired data and are called every few seconds, `slow_sweeps` less
    often, each in a thread; their keys are their names in logs. `demands` return, in a
    thread, how many replicas a pool needs that scales with its jobs, by the name of its
    deployment.
    """

    dispatchers: Sequence[Dispatcher] = ()
    loops: Sequence[Loop] = ()
    sweeps: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    slow_sweeps: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    demands: Mapping[str, Callable[[], float]] = field(default_factory=dict)


class Calls(Protocol):
    """Calls from a system's API routes to its dispatchers."""

    def wake(self, kind: str) -> None:
        """Have the dispatcher poll for new jobs of a kind at once."""

    def stop(self, kind: str, job_id: str) -> None:
        """Stop a cancelled job."""

    def status(self) -> Awaitable[Mapping[str, Any]]:
        """Return the dispatcher's status of this system."""


class System(Protocol):
    """A system, created from its section of a Serve config.

    `settings_rules` is optional; see the function of that name.
    """

    Args: ClassVar[type[Strict]]

    def __init__(self, args: Any) -> None: ...

    def pools(self, settings: Settings) -> Pools:
        """Return the bound deployments by name."""

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return the API routes and the services that they need."""

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return the dispatchers, loops and sweeps."""


def settings_rules(system: type[System]) -> Mapping[str, Rule]:
    """Return the checks of a system's settings, by their names; none by default."""
    rules: Mapping[str, Rule] = getattr(system, "settings_rules", {})
    return rules


def find(name: str) -> type[System]:
    """Return the system of that name: the `SYSTEM` of the module of that name.

    Modules of this package come first, then any other module that can be imported.
    Raises ValueError if there is no such module, or it has no `SYSTEM`.
    """
    if all(part.isidentifier() for part in name.split(".")):
        for module in (f"{_PACKAGE}.{name}", name):
            if (found := _system_of(module)) is not None:
                return found
    raise ValueError(
        f"unknown system `{name}` in `systems`; name `stems`, `library`, "
        f"`archive`, `images` or a module that can be imported and has a {_NAME}"
    )


def _system_of(module: str) -> type[System] | None:
    """Return the system of a module; None if the module does not exist or has none.

    Errors raised by the module itself are not caught.
    """
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        # A module that this one imports may be missing: raise that error.
        if f"{module}.".startswith(f"{error.name}."):
            return None
        raise
    found: type[System] | None = getattr(imported, _NAME, None)
    return found
