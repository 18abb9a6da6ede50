"""The rhythm of a song: tempo, beats, bars and grid."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis import beats, grid
from serve_app.analysis.excerpt import SAMPLE_RATE, Samples
from serve_app.analysis.grid import Segment
from serve_app.analysis.network import TEMPI_BPM, Activations, NetworkEngine

Floats = NDArray[np.floating]

# Said of what has no pulse, so that the tempo is always a usable number.
DEFAULT_BPM = 120.0
_SHORTEST_SECONDS = 1.0
# Music's beats are heard with more than this on average; see docs/beat-model.md.
_LEAST_STRENGTH = 0.15


class Engine(Protocol):
    """Hears beats in mono blocks at 22,050 Hz."""

    def add(self, mono: Samples) -> None:
        """Take the next block (n)."""

    def activations(self) -> Activations:
        """Return what was heard, once no block comes any more."""


@dataclass(frozen=True)
class Grid:
    """A constant grid: beats at `first_beat_seconds` + 60 / `bpm` k.

    `first_downbeat_seconds` is the first that begins a bar; `drift_ms` is how far the
    music is from the grid where it is farthest, for 64 beats on average.
    """

    bpm: float
    first_beat_seconds: float
    first_downbeat_seconds: float
    drift_ms: float


@dataclass(frozen=True)
class Rhythm:
    """What was found out about the rhythm of a song.

    `bpm_confidence` is about how often such a tempo is right; `bpm_alternatives` are
    the likeliest tempi with their shares, likeliest first. Beats and downbeats are in
    seconds. `grid` is None where the tempo is not constant: `segments` tell it then.
    `reason` says why the confidence is 0: `bpm` is 120 then and there are no beats.
    """

    bpm: float
    bpm_confidence: float = 0.0
    bpm_alternatives: tuple[tuple[float, float], ...] = ()
    beats: tuple[float, ...] = field(default=(), repr=False)
    downbeats: tuple[float, ...] = field(default=(), repr=False)
    meter: int = 4
    grid: Grid | None = None
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    reason: str | None = None


class RhythmListener:
    """Finds the rhythm of a song that comes as mono blocks at 22,050 Hz."""

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine or NetworkEngine()
        self._samples = 0

    def add(self, mono: Samples) -> None:
        """Take the next block (n)."""
        self._engine.add(mono)
        self._samples += len(mono)

    def found(self, bpm_range: tuple[float, float] | None = None) -> Rhythm:
        """Return the rhythm, once no block comes any more.

        With a range the tempo is told within it, if it has an octave's room.
        """
        seconds = self._samples / SAMPLE_RATE
        if seconds < _SHORTEST_SECONDS:
            return Rhythm(DEFAULT_BPM, reason="too short")
        return rhythm(self._engine.activations(), bpm_range)


def rhythm(heard: Activations, bpm_range: tuple[float, float] | None = None) -> Rhythm:
    """Return the rhythm that an engine's activations tell of."""
    slowest, fastest = bpm_range or (beats.SLOWEST_BPM, beats.FASTEST_BPM)
    pulse = beats.track(heard, slowest, fastest)
    if len(pulse.frames) < 2 or pulse.strengths.mean() < _LEAST_STRENGTH:
        return Rhythm(DEFAULT_BPM, reason="no pulse")
    is_first, meter = beats.bars(heard, pulse)
    line = grid.line(pulse.times, pulse.strengths)
    bpm = grid.median_bpm(pulse.times) if line is None else 60.0 / line.interval
    alternatives = _alternatives(heard, bpm)
    return Rhythm(
        bpm=float(np.clip(bpm, slowest, fastest)),
        bpm_confidence=alternatives[0][1],
        bpm_alternatives=alternatives,
        beats=tuple(pulse.times.tolist()),
        downbeats=tuple(pulse.times[is_first].tolist()),
        meter=meter,
        grid=None if line is None else _grid(line, pulse.times[is_first]),
        segments=tuple(grid.segments(pulse.times)),
    )


def _grid(line: grid.Line, downbeats: Floats) -> Grid:
    first = line.start
    if len(downbeats):
        first += line.interval * round((downbeats[0] - line.start) / line.interval)
    return Grid(
        bpm=60.0 / line.interval,
        first_beat_seconds=line.start,
        first_downbeat_seconds=float(first),
        drift_ms=1_000 * line.drift,
    )


def _alternatives(heard: Activations, bpm: float) -> tuple[tuple[float, float], ...]:
    """Return the tempo told and the engine's next best, with their shares."""
    rest = heard.tempi.astype(np.float64)
    found = []
    for _ in range(3):
        near = np.abs(np.log2(TEMPI_BPM / bpm)) < 1 / 16
        found.append((float(bpm), float(rest[near].sum())))
        rest[near] = 0
        bpm = float(TEMPI_BPM[int(rest.argmax())])
    return tuple(found)
