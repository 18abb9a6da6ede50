"""Read and check a Serve config file before anything starts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deployments import args, system
from deployments.args import AppArgs
from deployments.checking.fault import Fault, Place, unknown_name, written
from deployments.pool import Autoscaling, Pool
from deployments.stems import StemsArgs
from serve_app.settings import Settings, serve_config

# The system whose routes have origins of their own.
_IMAGES = "images"


@dataclass(frozen=True)
class CheckedApplication:
    """An application of a config: its name, its route prefix, its checked arguments."""

    name: str
    route_prefix: str
    args: AppArgs


def page_origins(
    application: CheckedApplication, settings: Settings
) -> tuple[str, ...]:
    """Return the origins of pages that may use a system of an application.

    Serve's proxies answer in its place while it starts.
    """
    if _IMAGES not in application.args.systems:
        return settings.cors_origins
    return (*settings.cors_origins, *settings.images_cors_origins)


def read(config: str | Path) -> Sequence[CheckedApplication]:
    """Return the applications in a Serve config, checked together with their settings.

    `config` is a file, or the name of a config in the package. Raises OSError, or
    ValueError with a line for each fault, if it can't be read or is not valid.
    """
    path = serve_config.find(config)
    listed = serve_config.applications(path)
    checked, wrong = [], []
    for each in listed:
        place = f"{path}: application `{each.name}`" if len(listed) > 1 else str(path)
        try:
            checked.append(_checked(place, each))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("\n".join(wrong))
    return checked


def _checked(place: str, listed: serve_config.Application) -> CheckedApplication:
    try:
        given = args.checked(listed.args)
    except ValidationError as error:
        lines = (f"{place}: {each.text}" for each in faults(error, listed.args))
        raise ValueError("\n".join(lines)) from None
    except ValueError as error:
        raise ValueError(f"{place}: {error}.") from error
    given.resolved_settings()
    return CheckedApplication(listed.name, listed.route_prefix, given)


def faults(error: ValidationError, given: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong in the arguments of an application, by their places there."""
    for each in error.errors(include_url=False):
        place = _as_written(each["loc"], given)
        if each["type"] == "extra_forbidden":
            yield unknown_name(place, _names(place))
        else:
            wrong = described(each["type"], each["msg"], each["input"])
            yield Fault(place, f"`{written(place)}` {wrong}.")


def described(kind: str, message: str, value: Any) -> str:
    """Return what is wrong with a value, in words that continue its name.

    `kind` and `message` are those of pydantic's error.
    """
    if kind == "missing":
        return "is required"
    if kind == "too_short":
        return "must have at least one entry"
    if kind in ("dict_type", "model_type"):
        return f"must be a mapping of names to values, got {value!r}"
    allowed = message.removeprefix("Input should ")
    return (
        f"must {allowed}, got {value!r}"
        if allowed != message
        else (f"is {value!r}: {message[0].lower()}{message[1:]}")
    )


def _names(place: Place) -> set[str]:
    """Return the valid names in the section of a system, or outside of sections."""
    is_section = place[0] == "systems"
    own = [system.find(str(place[1])).Args] if is_section else [AppArgs, StemsArgs]
    return {name for each in (*own, Pool, Autoscaling) for name in each.model_fields}


def _as_written(place: Place, given: Mapping[str, Any]) -> Place:
    """Return the place of a name in the file; pools of `stems` may be at the top."""
    *section, pool = (*place, "", "", "")[:3]
    is_pool = (
        section == ["systems", args.DEFAULT_SYSTEM] and pool in args.POOLS_OF_STEMS
    )
    return place[2:] if is_pool and pool in given else place
