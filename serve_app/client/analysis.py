"""An analysis as its client sees it."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast


class Analysis(TypedDict):
    """What the server found out about a song; newer servers may add more.

    `bpm` is the tempo in beats a minute, `key` the key as in `C# minor`, `duration` the
    length in seconds, `sample_rate` that of the file in Hz.
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


def read_analysis(answer: Mapping[str, Any]) -> Analysis:
    """Return the server's answer as an analysis; ValueError if it is none."""
    bpm, key = answer.get("bpm"), answer.get("key")
    if not isinstance(bpm, int | float) or not isinstance(key, str) or not key:
        raise ValueError("an analysis has a bpm and a key")
    return cast(Analysis, dict(answer))
