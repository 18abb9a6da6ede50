"""The faults of environments that a Serve config gives to its replicas."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ray.runtime_env import RuntimeEnv

from deployments.checking.fault import Fault, Place, hint, shown, unknown_name, written
from deployments.checking.manifest_environment import applied, unknown_variables
from serve_app.settings import check as settings_check

# Our pools have `env`, Ray's runtime environments `env_vars`.
_FIELDS = ("env", "env_vars")


def faults(given: Any, place: Place, settings: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong in the environments below a place, at any depth.

    `settings` are those that the application has besides: some need others.
    """
    if isinstance(given, list):
        for index, each in enumerate(given):
            yield from faults(each, (*place, index), settings)
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        here = (*place, str(name))
        if name == "runtime_env" and isinstance(value, dict):
            yield from _misspelt(value, here)
        if name in _FIELDS and isinstance(value, dict):
            yield from _of_variables(value, here, settings)
        else:
            yield from faults(value, here, settings)


def _misspelt(given: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    """Yield misspelt names. Others may be of a plugin of the cluster."""
    known = sorted(name for name in RuntimeEnv.known_fields if name[0] != "_")
    for name in given:
        if name not in RuntimeEnv.known_fields and hint(name, known):
            yield unknown_name((*place, str(name)), known)


def _of_variables(
    given: Mapping[str, Any], place: Place, settings: Mapping[str, Any]
) -> Iterator[Fault]:
    texts: dict[str, str | None] = {}
    for name, value in given.items():
        here = (*place, str(name))
        if isinstance(value, str):
            texts[str(name)] = value
        else:
            yield Fault(
                here, f"`{written(here)}` must be a text in quotes, got {shown(value)}."
            )
    wrong = list(unknown_variables(texts))
    with applied({**os.environ, **texts}):
        wrong += [
            (settings_check.origin(setting, settings), line)
            for setting, line in settings_check.faults(settings)
        ]
    for name, line in wrong:
        if name in texts:
            yield Fault((*place, name), line)
