"""The faults of a Serve config: Ray's schema, the applications and their arguments."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments import args as app_args
from deployments import config, system
from deployments.api import Api
from deployments.app import build
from deployments.args import AppArgs
from deployments.checking import environments
from deployments.checking.fault import (
    Fault,
    Place,
    hint,
    shown,
    unknown_name,
    written,
)
from deployments.dispatcher import DispatcherReplica
from deployments.nodes import kept_on_one
from serve_app.settings import Settings, environment
from serve_app.settings import check as settings_check


def faults(given: Any, nodes: int = 1) -> Iterator[Fault]:
    """Yield what is wrong in a Serve config.

    Settings are those of the config and of the environment. Replicas may run on a
    number of `nodes`. Modules that the config names are imported.
    """
    if not isinstance(given, dict):
        yield Fault((), f"a Serve config must be a mapping, got {shown(given)}.")
        return
    yield from _unknown(ServeDeploySchema, given, ())
    yield from _invalid(given)
    applications = given.get("applications")
    if isinstance(applications, list):
        yield from _repeated(applications)
        for index, each in enumerate(applications):
            if isinstance(each, dict):
                place = ("applications", index)
                yield from _in_application(each, place, nodes)
                yield from environments.faults(each, place, _settings(each))


def _unknown(model: type[BaseModel], given: Any, place: Place) -> Iterator[Fault]:
    """Yield the names that Ray's schema does not have: Serve would ignore them."""
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        here = (*place, str(name))
        field = model.model_fields.get(str(name))
        if field is None:
            yield unknown_name(here, model.model_fields)
            continue
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, item in items:
            below = here if index is None else (*here, index)
            for each in _models(field.annotation):
                yield from _unknown(each, item, below)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in a type such as `Optional[List[Model]]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def _invalid(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the values that Ray's schema refuses."""
    try:
        ServeDeploySchema.model_validate(given)
    except ValidationError as error:
        seen: set[Place] = set()
        for each in error.errors(include_url=False):
            place = _existing(each["loc"], given)
            if each["type"] == "missing":
                place = (*place, each["loc"][-1])
            if place not in seen and not _is_repetition(each["msg"]):
                seen.add(place)
                wrong = config.described(each["type"], each["msg"], each["input"])
                yield Fault(place, f"`{written(place)}` {wrong.rstrip('.')}.")


def _existing(place: Place, given: Any) -> Place:
    """Return the part of a place that is in the config: pydantic adds types to it."""
    for depth, step in enumerate(place):
        is_there = (
            step in given
            if isinstance(given, dict)
            else isinstance(given, list) and isinstance(step, int) and step < len(given)
        )
        if not is_there:
            return place[:depth]
        given = given[step]
    return place


def _is_repetition(message: str) -> bool:
    """Whether Ray complains of equal names or routes, which `_repeated` finds."""
    return "Found multiple configs" in message or "Found duplicate" in message


def _repeated(applications: list[Any]) -> Iterator[Fault]:
    for field, default in (("name", "default"), ("route_prefix", "/")):
        seen: dict[Any, int] = {}
        for index, each in enumerate(applications):
            value = each.get(field, default) if isinstance(each, dict) else None
            if not isinstance(value, str):
                continue
            if value in seen:
                place = ("applications", index, field)
                yield Fault(
                    place,
                    f"`{written(place)}` must be unique, but `{value}` is also that of "
                    f"application {seen[value] + 1}.",
                )
            seen.setdefault(value, index)


def _in_application(
    given: Mapping[str, Any], place: Place, nodes: int
) -> Iterator[Fault]:
    prefix = given.get("route_prefix", "/")
    if isinstance(prefix, str) and not prefix.startswith("/"):
        here = (*place, "route_prefix")
        yield Fault(here, f"`{written(here)}` must start with `/`, got {prefix!r}.")
    path = given.get("import_path")
    if not isinstance(path, str):
        return
    try:
        imported = _imported(path)
    except ValueError as error:
        here = (*place, "import_path")
        yield Fault(here, f"`{written(here)}` is {path!r}: {error}.")
        return
    # The arguments of other builders are unknown here.
    if imported is build:
        yield from _of_ours(given, place, nodes)


def _settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of an application, as far as they are a mapping."""
    args = given.get("args")
    settings = args.get("settings") if isinstance(args, dict) else None
    return settings if isinstance(settings, dict) else {}


def _imported(path: str) -> Any:
    """Return what an import path names; ValueError if it can't be imported."""
    module_name, _, name = path.replace(":", ".").rpartition(".")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"the module `{module_name}` can't be imported "
            f"({type(error).__name__}: {error})"
        ) from error
    if not hasattr(module, name):
        nearest = environment.nearest(name, vars(module))
        meant = f"; did you mean `{module_name}:{nearest}`" if nearest else ""
        raise ValueError(f"the module `{module_name}` has no `{name}`{meant}")
    return getattr(module, name)


def _of_ours(given: Mapping[str, Any], place: Place, nodes: int) -> Iterator[Fault]:
    """Yield the faults of the arguments and settings of an application of ours."""
    here = (*place, "args")
    listed = given.get("args") or {}
    if not isinstance(listed, dict):
        return
    try:
        args = app_args.checked(listed)
    except ValidationError as error:
        for each in config.faults(error, listed):
            yield Fault((*here, *each.place), each.text)
        return
    except ValueError as error:
        yield Fault((*here, "systems"), f"{error}.")
        return
    yield from _of_settings(args, here, nodes)
    deployments = given.get("deployments")
    if isinstance(deployments, list):
        yield from _of_deployments(args, deployments, place)


def _of_settings(args: AppArgs, place: Place, nodes: int) -> Iterator[Fault]:
    rules: dict[str, settings_check.Rule] = {}
    for name in args.systems:
        rules |= system.settings_rules(system.find(name))
    found = list(settings_check.faults(args.settings, rules))
    for name, line in found:
        origin = settings_check.origin(name, args.settings)
        yield Fault((*place, "settings", name), line, origin)
    if found or nodes < 2:
        return
    for variable, need in kept_on_one(Settings(**args.settings)).items():
        name = variable.removeprefix(environment.PREFIX).lower()
        yield Fault(
            (*place, "settings", name),
            f"{variable}: replicas may run on several nodes, and {need}.",
            settings_check.origin(name, args.settings),
        )


def _of_deployments(
    args: AppArgs, given: Sequence[Any], place: Place
) -> Iterator[Fault]:
    """Yield the names of deployments that the application does not have."""
    names = [Api.__name__, DispatcherReplica.__name__]
    for each in args.made().values():
        # Bound and not deployed, so the settings do not matter.
        pools = each.pools(Settings.model_construct())
        names += [pool._bound_deployment.name for pool in pools.values()]
    for index, deployment in enumerate(given):
        name = deployment.get("name") if isinstance(deployment, dict) else None
        if isinstance(name, str) and name not in names:
            here = (*place, "deployments", index, "name")
            yield Fault(
                here,
                f"`{written(here)}` must be one of {', '.join(names)}, got "
                f"{name!r}.{hint(name, names)}",
            )
