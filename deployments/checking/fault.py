"""What is wrong in a config or a manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from serve_app.settings import environment

# The keys and indexes that lead to a value.
Place = tuple[str | int, ...]

_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Fault:
    """A sentence about what is wrong, and the place of the value.

    `variable` is the environment variable that the value comes from, if it does.
    """

    place: Place
    text: str
    variable: str = ""


def written(place: Place) -> str:
    """Return a place as people write it: `spec.containers[0].image`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")


def hint(name: object, known: Iterable[str]) -> str:
    """Return a sentence with the most similar of the known names, or ""."""
    nearest = environment.nearest(str(name), known)
    return f" Did you mean `{nearest}`?" if nearest else ""


def unknown_name(place: Place, known: Iterable[str]) -> Fault:
    """Return the fault of a name that is not one of those known."""
    return Fault(place, f"unknown name `{written(place)}`.{hint(place[-1], known)}")


def at(data: Any, place: Place) -> Any:
    """Return the value at a place, or None if there is none."""
    for step in place:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def shown(value: object) -> str:
    """Return a value for display, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
