"""Requests and results come back from JSON as they were."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.jobs.codec import from_json, to_json


class Size(StrEnum):
    """How large a picture is."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Place:
    """Where it hangs."""

    room: str
    wall: int | None = None


@dataclass(frozen=True)
class Picture:
    """All that a request can hold."""

    name: str
    sizes: tuple[Size, ...]
    places: tuple[Place, ...] = ()
    ratio: tuple[float, float] | None = None
    notes: Mapping[str, Any] | None = None
    hidden: bool = False


FULL = Picture(
    "夜",
    (Size.SMALL, Size.LARGE),
    (Place("hall", 1), Place("attic")),
    (0.1, 1e-9),
    {"by": None, "of": {"year": None, "tags": ["a", None]}},
    hidden=True,
)


@pytest.mark.parametrize("picture", [FULL, Picture("a", ())], ids=["full", "bare"])
def test_what_was_written_is_read(picture: Picture) -> None:
    text = json.dumps(to_json(picture), allow_nan=False)
    found = from_json(Picture, json.loads(text))
    assert found == picture
    assert all(isinstance(size, Size) for size in found.sizes)
    assert all(isinstance(place, Place) for place in found.places)


def test_a_field_that_is_none_is_left_out() -> None:
    """So that a version that does not know it reads what has none."""
    bare = to_json(Picture("a", (), (Place("hall"),)))
    assert bare == {
        "name": "a",
        "sizes": [],
        "places": [{"room": "hall"}],
        "hidden": False,
    }


def test_what_a_mapping_says_of_nothing_is_kept() -> None:
    assert to_json(FULL)["notes"] == FULL.notes


def test_what_a_later_version_has_added_is_ignored() -> None:
    later = {
        "name": "a",
        "sizes": [],
        "frame": "gold",
        "places": [{"room": "b", "x": 1}],
    }
    assert from_json(Picture, later) == Picture("a", (), (Place("b"),))


@pytest.mark.parametrize(
    "value", [{}, {"name": "a", "sizes": ["huge"]}, {"name": 7, "sizes": []}]
)
def test_another_shape_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        from_json(Picture, value)
