"""What a client prefers, by its Accept and Accept-Encoding headers (RFC 9110)."""

import re
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers

IDENTITY = "identity"

_WEIGHT = re.compile(r"q\s*=\s*(0(\.\d{0,3})?|1(\.0{0,3})?)", re.IGNORECASE)
# Less than any weight that a client can write, which has three decimals.
_UNNAMED = 0.0001


def prefers(headers: Headers, media_type: str, other: str) -> bool:
    """Whether a client prefers a media type to another; not if it takes both alike."""
    weights = _weights(headers, "accept")
    return _of_type(weights, media_type) > _of_type(weights, other)


def coding(headers: Headers, available: Sequence[str]) -> str:
    """Return the coding that a client prefers, or `identity`.

    Of those it likes equally, the first of `available` is returned.
    """
    weights = _weights(headers, "accept-encoding")
    anything = weights.get("*", 0.0)
    unchanged = weights.get(IDENTITY, weights.get("*", _UNNAMED))
    found, best = IDENTITY, unchanged
    for each in available:
        weight = weights.get(each, anything)
        if weight > best or (weight == best > 0 and found == IDENTITY):
            found, best = each, weight
    return found


def _of_type(weights: Mapping[str, float], media_type: str) -> float:
    """Return the weight of a media type, by the most specific range that has it."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((weights[each] for each in ranges if each in weights), 0.0)


def _weights(headers: Headers, name_of_list: str) -> dict[str, float]:
    """Return the weight of each item of a list, without those that are not valid."""
    found: dict[str, float] = {}
    for item in ",".join(headers.getlist(name_of_list)).split(","):
        name, *parameters = (each.strip() for each in item.split(";"))
        weight = _weight(parameters)
        if name and weight is not None:
            found[name.lower()] = weight
    return found


def _weight(parameters: Sequence[str]) -> float | None:
    for each in parameters:
        if each[:1] in ("q", "Q"):
            match = _WEIGHT.fullmatch(each)
            return None if match is None else float(match[1])
    return 1.0
