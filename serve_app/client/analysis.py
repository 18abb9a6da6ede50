"""The analysis of a song, as a client gets it."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast


class Analysis(TypedDict):
    """The server's analysis of a song. Newer servers may add fields.

    `bpm` is the tempo in beats per minute, `key` the key, such as `C# minor`,
    `duration` the length in seconds, `sample_rate` the file's sample rate in Hz.
    """

    bpm: float
    key: str
    duration: NotRequired[float]
    sample_rate: NotRequired[int]
    bpm_confidence: NotRequired[float]
    filename: NotRequired[str]
    size_bytes: NotRequired[int]
    key_confidence: NotRequired[float]
    camelot: NotRequired[str]
    open_key: NotRequired[str]


def read_analysis(body: Mapping[str, Any]) -> Analysis:
    """Return the body of a response as an analysis.

    Raises ValueError if `bpm` is not a number, or `key` is not a non-empty string.
    """
    bpm, key = body.get("bpm"), body.get("key")
    if not isinstance(bpm, int | float) or not isinstance(key, str) or not key:
        raise ValueError('"bpm" must be a number and "key" a non-empty string')
    return cast(Analysis, dict(body))
