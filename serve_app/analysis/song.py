"""What a song is: its tempo, its key and its length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np

from serve_app.analysis import key, tempo
from serve_app.analysis.excerpt import SAMPLE_RATE, Samples, excerpt
from serve_app.errors import Cancelled, InvalidInput

_WARM_UP_SECONDS = 4


@dataclass(frozen=True)
class Analysis:
    """What was found out about a song; keys are also given in the codes of DJs.

    `bpm` is a number also for what has no pulse (120) and `key` a name also for what
    has no pitch; `key_confidence`, 0 to 1, is near 0 then.
    """

    bpm: float
    key: str
    camelot: str
    open_key: str
    key_confidence: float
    duration_seconds: float
    sample_rate: int

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as clients read it, rounded to what is meaningful."""
        return {
            "bpm": round(self.bpm, 2),
            "key": self.key,
            "camelot": self.camelot,
            "open_key": self.open_key,
            "key_confidence": round(self.key_confidence, 3),
            "duration": round(self.duration_seconds, 6),
            "sample_rate": self.sample_rate,
        }


def analyze(
    blocks: Iterable[Samples],
    sample_rate: int,
    samples: int,
    cancelled: Event | None = None,
) -> Analysis:
    """Analyse a song of `samples` a channel that comes as finite blocks (2, n).

    Tempo and key are those of its first 180 s, and no more blocks than that are asked
    for. Raises InvalidInput for a song without samples, and Cancelled soon after
    `cancelled` is set: before the next block or the next of the two.
    """
    if samples < 1:
        raise InvalidInput("The song has no samples; send one that has.")
    cancelled = cancelled or Event()
    mono = excerpt(_while_wanted(blocks, cancelled), sample_rate)
    found = key.find(mono)
    _check(cancelled)
    return Analysis(
        bpm=tempo.bpm(mono),
        key=found.name,
        camelot=found.camelot,
        open_key=found.open_key,
        key_confidence=found.confidence,
        duration_seconds=samples / sample_rate,
        sample_rate=sample_rate,
    )


def _while_wanted(blocks: Iterable[Samples], cancelled: Event) -> Iterator[Samples]:
    for block in blocks:
        _check(cancelled)
        yield block


def _check(cancelled: Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The analysis is not wanted any more.")


def warm_up() -> None:
    """Compile and load all that an analysis runs, so that the first song is not slow.

    Compiled code is kept in NUMBA_CACHE_DIR, where that is set before librosa is
    imported, and else beside librosa's own files.
    """
    seconds = np.arange(_WARM_UP_SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    # A note struck twice a second goes through every step: pitch, onsets and beats.
    struck = np.sin(2 * np.pi * 440 * seconds) * np.exp(-8 * (seconds % 0.5))
    stereo = np.stack([struck, struck]).astype(np.float32)
    analyze([stereo], SAMPLE_RATE, stereo.shape[1])
