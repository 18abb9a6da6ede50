"""Environment variables: which are set, and which are misspelt settings."""

import difflib
import re
from collections.abc import Iterable, Mapping

PREFIX = "STEMSERVE_"

# Used by the command line.
_COMMAND_LINE = frozenset({"STEMSERVE_URL", "STEMSERVE_API_KEY"})

# Variables that users may expect; these are options of `stemserve serve`.
_OPTIONS = {
    "STEMSERVE_HOST": "--host",
    "STEMSERVE_PORT": "--port",
    "STEMSERVE_CONFIG": "--config",
}

# Kubernetes sets variables with the addresses of all services in each container, named
# after services such as `stemserve` and `stemserve-head-svc`.
_SERVICE = re.compile(
    r"STEMSERVE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with a value, trimmed, by their names in capitals.

    An empty or blank variable counts as unset.
    """
    # A name in capitals comes last, so that it has precedence over other spellings.
    names = sorted(environ, key=lambda name: name == name.upper())
    return {
        name.upper(): environ[name].strip() for name in names if environ[name].strip()
    }


def first_set(names: Iterable[str], environ: Mapping[str, str]) -> str | None:
    """Return the first of `names` that is set in a cleaned environment, or None."""
    return next((name for name in names if name in environ), None)


def warnings(known: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """Return a line for each `STEMSERVE_*` in `environ` without an effect."""
    settings = sorted(name for name in known if name.startswith(PREFIX))
    return [
        f"{name} is not a setting and has no effect.{_hint(name, settings)}"
        for name, value in cleaned(environ).items()
        if name.startswith(PREFIX)
        and name not in _COMMAND_LINE
        and name not in settings
        and not _is_of_a_service(name, value)
    ]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the most similar of `names` to a misspelt `name`, or None."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return found[0] if found else None


def _hint(name: str, settings: Iterable[str]) -> str:
    if name in _OPTIONS:
        return f" Use `stemserve serve {_OPTIONS[name]}`."
    # Without the common prefix, which would make all names similar.
    bare = [setting.removeprefix(PREFIX) for setting in settings]
    meant = nearest(name.removeprefix(PREFIX), bare)
    if meant is None:
        return " `stemserve settings` lists all settings."
    return f" Did you mean {PREFIX}{meant}?"


def _is_of_a_service(name: str, value: str) -> bool:
    if _SERVICE.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_SERVICE_ADDRESS.match(value))
