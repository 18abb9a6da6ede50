"""A Serve config file, read and checked before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from deployments import args
from deployments.args import AppArgs
from deployments.pool import Autoscaling, Pool
from deployments.stems import StemsArgs
from serve_app.settings import environment, serve_config


@dataclass(frozen=True)
class CheckedApplication:
    """An application of a config: its name, its path and its arguments, checked."""

    name: str
    route_prefix: str
    args: AppArgs


def read(config: str | Path) -> Sequence[CheckedApplication]:
    """Return the applications in a Serve config, their settings checked too.

    `config` is a file, or the name of one that comes with the package. Raises OSError
    or ValueError, which says what is wrong, for anything else.
    """
    path = serve_config.find(config)
    return [_checked(path, each) for each in serve_config.applications(path)]


def _checked(path: Path, listed: serve_config.Application) -> CheckedApplication:
    try:
        given = args.checked(listed.args)
    except ValidationError as error:
        lines = (f"{path}: {line}" for line in _told(error))
        raise ValueError("\n".join(lines)) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}.") from error
    given.resolved_settings()
    return CheckedApplication(listed.name, listed.route_prefix, given)


def _names() -> set[str]:
    """Return what a config may say, in whichever section."""
    models = (AppArgs, Pool, Autoscaling, StemsArgs)
    return {name for model in models for name in model.model_fields}


def _told(error: ValidationError) -> list[str]:
    lines = []
    for each in error.errors(include_url=False):
        name = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            meant = environment.nearest(str(each["loc"][-1]), _names())
            hint = f" Did you mean `{meant}`?" if meant else ""
            lines.append(f"there is no `{name}`.{hint}")
        else:
            lines.append(f"`{name}` is {each['input']!r}: {each['msg'].lower()}.")
    return lines
