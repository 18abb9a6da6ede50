"""Serve config files: how they are found and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from serve_app.settings import environment

DEFAULT = "local"
_NAME = "stemserve"
# Those of Ray Serve's own schema.
APPLICATION_KEYS = (
    *("name", "route_prefix", "import_path", "args", "runtime_env", "deployments"),
    *("host", "port", "logging_config", "autoscaling_policy"),
    "external_scaler_enabled",
)


def find(name: str | Path = DEFAULT) -> Path:
    """Return the file `name`, or else the bundled config with this name.

    `local` and `local.yaml` both name a bundled config. Raises FileNotFoundError, with
    a list of the bundled configs, for other names.
    """
    path = Path(name)
    if path.is_file():
        return path
    bundled = {path.stem: path for path in _directory().glob("*.yaml")}
    if str(path) in (path.stem, f"{path.stem}.yaml") and path.stem in bundled:
        return bundled[path.stem]
    names = " and ".join(f"`{name}`" for name in sorted(bundled))
    raise FileNotFoundError(
        f"{name}: no such file. Give a path, or one of the bundled configs: {names}."
    )


@dataclass(frozen=True)
class Application:
    """An application of a config: its name, its path and its unchecked arguments."""

    name: str
    route_prefix: str
    args: Mapping[str, Any]


def applications(config: Path) -> Sequence[Application]:
    """Return the applications of a config.

    Raises OSError if the file can't be read, and ValueError if the config is invalid.
    """
    try:
        document: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{config}: invalid YAML: {reason}") from error
    listed = document.get("applications") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{config}: `applications` must have at least one entry.")
    found = [_application(config, each, len(listed) == 1) for each in listed]
    for field in ("name", "route_prefix"):
        values = [getattr(each, field) for each in found]
        if len(set(values)) < len(values):
            raise ValueError(f"{config}: two applications have the same `{field}`.")
    return found


def _application(config: Path, listed: Any, is_only: bool) -> Application:
    """Return an application of a list; name and path are optional if it is the only."""
    if not isinstance(listed, dict):
        raise ValueError(f"{config}: an application must be a mapping.")
    for key in listed:
        if key not in APPLICATION_KEYS:
            nearest = environment.nearest(str(key), APPLICATION_KEYS)
            hint = f" Did you mean `{nearest}`?" if nearest else ""
            raise ValueError(f"{config}: unknown name `{key}` in an application.{hint}")
    args = listed.get("args") or {}
    if not isinstance(args, dict):
        raise ValueError(f"{config}: `args` must be a mapping of names to values.")
    defaults = {"name": _NAME, "route_prefix": "/"} if is_only else {}
    said = {**defaults, **listed}
    for field in ("name", "route_prefix"):
        if not isinstance(said.get(field), str) or not said[field]:
            raise ValueError(f"{config}: each application must have a `{field}`.")
    if not said["route_prefix"].startswith("/"):
        raise ValueError(
            f"{config}: `route_prefix` must start with `/`, got "
            f"{said['route_prefix']!r}."
        )
    return Application(said["name"], said["route_prefix"], args)


def _directory() -> Path:
    """Return the folder of configs: in the installed package, or next to the source."""
    package = Path(str(resources.files("serve_app")))
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
