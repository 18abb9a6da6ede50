"""The faults of environments that a Serve config gives to its replicas."""

from collections.abc import Iterator, Mapping
from typing import Any

from ray.runtime_env import RuntimeEnv

from deployments.checking.fault import Fault, Place, hint, shown, written
from deployments.checking.manifest_environment import applied
from serve_app.settings import all_variables, environment
from serve_app.settings import check as settings_check

# Our pools have `env`, Ray's runtime environments `env_vars`.
_FIELDS = ("env", "env_vars")


def faults(given: Any, place: Place) -> Iterator[Fault]:
    """Yield what is wrong in the environments below a place, at any depth."""
    if isinstance(given, list):
        for index, each in enumerate(given):
            yield from faults(each, (*place, index))
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        here = (*place, str(name))
        if name == "runtime_env" and isinstance(value, dict):
            yield from _unknown(value, here)
        if name in _FIELDS and isinstance(value, dict):
            yield from _of_variables(value, here)
        else:
            yield from faults(value, here)


def _unknown(given: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    """Yield misspelt names. Others may be of a plugin of the cluster."""
    known = sorted(name for name in RuntimeEnv.known_fields if name[0] != "_")
    for name in given:
        meant = hint(name, known)
        if name not in RuntimeEnv.known_fields and meant:
            here = (*place, str(name))
            yield Fault(here, f"unknown name `{written(here)}`.{meant}")


def _of_variables(given: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    texts: dict[str, str | None] = {}
    for name, value in given.items():
        here = (*place, str(name))
        if isinstance(value, str):
            texts[str(name)] = value
        else:
            yield Fault(
                here, f"`{written(here)}` must be a text in quotes, got {shown(value)}."
            )
    for name, text in texts.items():
        for line in environment.warnings(all_variables(), {name: text or "empty"}):
            yield Fault((*place, name), line)
    with applied(texts):
        wrong = list(settings_check.faults({}))
    for setting, line in wrong:
        name = f"{environment.PREFIX}{setting.upper()}"
        if name in texts:
            yield Fault((*place, name), line)
