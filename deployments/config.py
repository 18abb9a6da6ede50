"""A Serve config file, read and checked before anything starts."""

from pathlib import Path

from pydantic import ValidationError

from deployments.args import AppArgs, Autoscaling, Pool
from serve_app import environment, serve_config

_NAMES = {*AppArgs.model_fields, *Pool.model_fields, *Autoscaling.model_fields}


def read_args(config: str | Path) -> AppArgs:
    """Return the application's arguments in a Serve config, its settings checked too.

    `config` is a file, or the name of one that comes with the package. Raises OSError
    or ValueError, which says what is wrong, for anything else.
    """
    path = serve_config.find(config)
    try:
        args = AppArgs.model_validate(serve_config.application_args(path))
    except ValidationError as error:
        raise ValueError(
            "\n".join(f"{path}: {line}" for line in _told(error))
        ) from None
    args.resolved_settings()
    return args


def _told(error: ValidationError) -> list[str]:
    lines = []
    for each in error.errors(include_url=False):
        name = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            meant = environment.nearest(str(each["loc"][-1]), _NAMES)
            hint = f" Did you mean `{meant}`?" if meant else ""
            lines.append(f"there is no `{name}`.{hint}")
        else:
            lines.append(f"`{name}` is {each['input']!r}: {each['msg'].lower()}.")
    return lines
