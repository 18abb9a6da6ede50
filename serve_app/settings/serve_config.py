"""Serve config files: those that come with the package, and what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

DEFAULT = "local"
_NAME = "stemserve"


def find(name: str | Path = DEFAULT) -> Path:
    """Return the file at `name`, or else the config that comes with the package.

    `local` and `local.yaml` both name a config of the package. Raises
    FileNotFoundError, which lists them, for anything else.
    """
    path = Path(name)
    if path.is_file():
        return path
    bundled = {path.stem: path for path in _directory().glob("*.yaml")}
    if str(path) in (path.stem, f"{path.stem}.yaml") and path.stem in bundled:
        return bundled[path.stem]
    names = " and ".join(f"`{name}`" for name in sorted(bundled))
    raise FileNotFoundError(
        f"{name}: no such file. Give a path, or one of the configs that come with "
        f"stemserve: {names}."
    )


@dataclass(frozen=True)
class Application:
    """An application of a config: its name, its path and its arguments, unchecked."""

    name: str
    route_prefix: str
    args: Mapping[str, Any]


def applications(config: Path) -> Sequence[Application]:
    """Return the applications in a config.

    Raises OSError for a file that can't be read, ValueError for one that is no config.
    """
    try:
        document: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{config}: not YAML: {reason}") from error
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
    """Return an application of a list; the only one needs neither name nor path."""
    if not isinstance(listed, dict):
        raise ValueError(f"{config}: an application must be a mapping.")
    args = listed.get("args") or {}
    if not isinstance(args, dict):
        raise ValueError(f"{config}: `args` must be a mapping of names to values.")
    defaults = {"name": _NAME, "route_prefix": "/"} if is_only else {}
    said = {**defaults, **listed}
    for field in ("name", "route_prefix"):
        if not isinstance(said.get(field), str) or not said[field]:
            raise ValueError(f"{config}: each application must have a `{field}`.")
    return Application(said["name"], said["route_prefix"], args)


def _directory() -> Path:
    """Return where the configs are: in the installed package, or beside the source."""
    package = Path(str(resources.files("serve_app")))
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
