"""Environment variables: which of them are set, and which look like a setting's."""

import difflib
import re
from collections.abc import Iterable, Mapping

PREFIX = "STEMSERVE_"

# The command line's own.
_COMMAND_LINE = frozenset({"STEMSERVE_URL"})

# What people try to set that is an option of `stemserve serve`.
_OPTIONS = {
    "STEMSERVE_HOST": "--host",
    "STEMSERVE_PORT": "--port",
    "STEMSERVE_CONFIG": "--config",
}

# Kubernetes gives every container the addresses of all services, by their names:
# `stemserve`, and also `stemserve-head-svc` and the like.
_SERVICE = re.compile(
    r"STEMSERVE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have a value, trimmed, by their names in capitals.

    One that is empty or blank counts as unset.
    """
    # A name in capitals comes last, and so wins over the same one in other letters.
    names = sorted(environ, key=lambda name: name == name.upper())
    return {
        name.upper(): environ[name].strip() for name in names if environ[name].strip()
    }


def first_set(names: Iterable[str], environ: Mapping[str, str]) -> str | None:
    """Return the first of `names` that has a value in a cleaned environment."""
    return next((name for name in names if name in environ), None)


def warnings(known: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """Return a line for each `STEMSERVE_*` in `environ` that sets nothing."""
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
    """Return the one of `names` that `name` was probably meant to be, if any."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return found[0] if found else None


def _hint(name: str, settings: Iterable[str]) -> str:
    if name in _OPTIONS:
        return f" Use `stemserve serve {_OPTIONS[name]}`."
    # The prefix, which all have, would make any two names similar.
    bare = [setting.removeprefix(PREFIX) for setting in settings]
    meant = nearest(name.removeprefix(PREFIX), bare)
    if meant is None:
        return " `stemserve settings` shows all that there are."
    return f" Did you mean {PREFIX}{meant}?"


def _is_of_a_service(name: str, value: str) -> bool:
    if _SERVICE.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_SERVICE_ADDRESS.match(value))
