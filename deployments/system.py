"""What a system is to its deployments: pools, a part of the API, what dispatches."""

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

# Before Serve has bound them they are applications, in a replica they are handles.
Pools = Mapping[str, Application]
Handles = Mapping[str, DeploymentHandle]

_PACKAGE = __name__.rpartition(".")[0]
_NAME = "SYSTEM"


class Loop(Protocol):
    """Work that goes on for as long as a dispatcher runs."""

    async def run_forever(self) -> None:
        """Work until cancelled."""

    def status(self) -> Mapping[str, Any]:
        """Return what an operator wants to know."""


@dataclass(frozen=True)
class DispatcherPart:
    """What a system has running in the dispatcher's process.

    `sweeps` delete what has expired and are called every few seconds, `slow_sweeps`
    less often, each in a thread; the keys are what a log calls them.
    """

    dispatchers: Sequence[Dispatcher] = ()
    loops: Sequence[Loop] = ()
    sweeps: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    slow_sweeps: Mapping[str, Callable[[], object]] = field(default_factory=dict)


class Calls(Protocol):
    """How a system's part of the API reaches what runs in the dispatcher."""

    def wake(self, kind: str) -> None:
        """Have new jobs of a kind looked for at once."""

    def stop(self, kind: str, job_id: str) -> None:
        """Stop a job that was cancelled."""

    def status(self) -> Awaitable[Mapping[str, Any]]:
        """Return what the dispatcher knows of this system."""


class System(Protocol):
    """A system, made from its section of a Serve config.

    `settings_rules` is optional; see the function of that name.
    """

    Args: ClassVar[type[Strict]]

    def __init__(self, args: Any) -> None: ...

    def pools(self, settings: Settings) -> Pools:
        """Return its deployments, bound."""

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return its routes, and what they need."""

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return what runs its jobs."""


def settings_rules(system: type[System]) -> Mapping[str, Rule]:
    """Return the checks of a system's settings, by their names; none by default."""
    rules: Mapping[str, Rule] = getattr(system, "settings_rules", {})
    return rules


def find(name: str) -> type[System]:
    """Return the system of that name: the `SYSTEM` of the module that has it.

    The module is one of this package, or else one that can be imported from anywhere.
    Raises ValueError for a name that has no system.
    """
    if all(part.isidentifier() for part in name.split(".")):
        for module in (f"{_PACKAGE}.{name}", name):
            if (found := _system_of(module)) is not None:
                return found
    raise ValueError(f"there is no system `{name}`")


def _system_of(module: str) -> type[System] | None:
    """Return the system of a module; None if there is no such module, or it has none.

    Raises whatever goes wrong in the module itself.
    """
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        # What the module itself imports may be missing: that is another mistake.
        if f"{module}.".startswith(f"{error.name}."):
            return None
        raise
    found: type[System] | None = getattr(imported, _NAME, None)
    return found
