"""Serve config files: those that come with the package, and what they hold."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

DEFAULT = "local"


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


def application_args(config: Path) -> dict[str, Any]:
    """Return the arguments of the one application in a config.

    Raises OSError for a file that can't be read, ValueError for one that is no config.
    """
    try:
        document: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{config}: not YAML: {reason}") from error
    applications = document.get("applications") if isinstance(document, dict) else None
    if not isinstance(applications, list) or len(applications) != 1:
        raise ValueError(f"{config}: `applications` must have exactly one entry.")
    application = applications[0]
    args = application.get("args") if isinstance(application, dict) else None
    if not isinstance(args or {}, dict):
        raise ValueError(f"{config}: `args` must be a mapping of names to values.")
    return args or {}


def _directory() -> Path:
    """Return where the configs are: in the installed package, or beside the source."""
    package = Path(str(resources.files("serve_app")))
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
