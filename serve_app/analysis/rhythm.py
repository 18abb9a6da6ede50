"""The rhythm of a song: tempo, beats, bars and grid."""

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis import beats, grid, loops
from serve_app.analysis.downmix import SAMPLE_RATE, Samples
from serve_app.analysis.grid import Segment
from serve_app.analysis.network import TEMPI_BPM, Activations, NetworkEngine

Floats = NDArray[np.floating]

# Said of what has no pulse, so that the tempo is always a usable number.
DEFAULT_BPM = 120.0
_SHORTEST_SECONDS = 1.0
# By `benchmarks/confidence.py --fit`.
_SURE, _SURE_ODDS = 0.81, 1.08
_EARLY_SECONDS = 0.03
# Music's beats are heard with 0.45 and more on average, those of noise and of speech
# with up to 0.15; few beats, which chance can make, must be surer: by one through
# their count.
_LEAST_STRENGTH, _FEWEST_BEATS = 0.2, 3
# Intervals between beats are found to a frame, by which a tempo may leave its range.
_ROUNDING = 1.01


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
        # All of it, while it is short enough to be a loop or noise.
        self._short: list[Samples] = []

    def add(self, mono: Samples) -> None:
        """Take the next block (n)."""
        self._engine.add(mono)
        self._samples += len(mono)
        if self._samples <= loops.DOUBTFUL_SECONDS * SAMPLE_RATE:
            self._short.append(mono)
        else:
            self._short.clear()

    def found(self, bpm_range: tuple[float, float] | None = None) -> Rhythm:
        """Return the rhythm, once no block comes any more.

        With a range the tempo is told within it, an octave up or down if need be.
        """
        if self._samples < _SHORTEST_SECONDS * SAMPLE_RATE:
            return Rhythm(DEFAULT_BPM, reason="too short")
        heard = self._engine.activations()
        found = None
        if self._short:
            short = np.concatenate(self._short)
            if loops.is_noise(short):
                return Rhythm(DEFAULT_BPM, reason="no pulse")
            found = _looped(short, heard)
        if found is None:
            found = rhythm(heard)
        return found if bpm_range is None else _within(found, heard, *bpm_range)


def _within(
    found: Rhythm, heard: Activations, slowest: float, fastest: float
) -> Rhythm:
    """Tell the same rhythm faster or slower by octaves, so that it is in the range.

    Where no octave of it is, the likeliest beats are those of another rhythm.
    """
    if found.reason is not None or slowest <= found.bpm <= fastest:
        return found
    for octave in (1, -1, 2, -2):
        if slowest <= found.bpm * 2.0**octave <= fastest:
            for _ in range(abs(octave)):
                found = _doubled(found) if octave > 0 else _halved(found)
            return found
    return rhythm(heard, slowest, fastest)


def _doubled(found: Rhythm) -> Rhythm:
    """Count at double speed: a beat more between any two; bars are as long as before.

    Their beats are twice as many, unless those are more than four: then the bars are
    half as long.
    """
    times = np.array(found.beats)
    twice = np.repeat(times, 2)[:-1]
    twice[1::2] = (times[:-1] + times[1:]) / 2
    firsts = 2 * np.searchsorted(times, np.array(found.downbeats) - 1e-6)
    meter = 2 * found.meter
    if meter > 4:
        meter = found.meter
        firsts = np.sort(np.concatenate([firsts, (firsts[:-1] + firsts[1:]) // 2]))
    return _counted(found, 2.0, twice, twice[firsts], meter)


def _halved(found: Rhythm) -> Rhythm:
    """Count at half the speed: from the first downbeat on every second beat."""
    times, firsts = np.array(found.beats), np.array(found.downbeats)
    phase = int(np.searchsorted(times, firsts[0] - 1e-6)) % 2 if len(firsts) else 0
    is_even = found.meter % 2 == 0
    return _counted(
        found,
        0.5,
        times[phase::2],
        firsts if is_even else firsts[::2],
        found.meter // 2 if is_even and found.meter > 2 else found.meter,
    )


def _counted(
    found: Rhythm, speed: float, times: Floats, firsts: Floats, meter: int
) -> Rhythm:
    line = found.grid
    return replace(
        found,
        bpm=found.bpm * speed,
        bpm_alternatives=tuple(
            (bpm * speed, share) for bpm, share in found.bpm_alternatives
        ),
        beats=tuple(times.tolist()),
        downbeats=tuple(firsts.tolist()),
        meter=meter,
        grid=None if line is None else replace(line, bpm=line.bpm * speed),
        segments=tuple(
            replace(segment, bpm=segment.bpm * speed) for segment in found.segments
        ),
    )


def _looped(mono: Samples, heard: Activations) -> Rhythm | None:
    """Return the rhythm of a loop, whose length tells its tempo; None of what is none.

    Its beats are those of its second time, when what rings over its end is heard.
    """
    loop = loops.find(mono, beats.track(heard))
    if loop is None:
        return None
    found = rhythm(loop.heard, loop.bpm / _ROUNDING, loop.bpm * _ROUNDING)
    if found.grid is None:
        return None
    seconds, interval = len(mono) / SAMPLE_RATE, 60.0 / loop.bpm
    # A beat right before the loop begins is its first.
    first = found.grid.first_beat_seconds - seconds + _EARLY_SECONDS
    first = max(first % interval - _EARLY_SECONDS, 0.0)
    times = first + interval * np.arange(loop.count)
    downbeats = np.array(found.downbeats)
    starts = np.rint((downbeats - seconds - first) / interval).astype(np.intp)
    firsts = times[starts[(starts >= 0) & (starts < loop.count)]]
    return replace(
        found,
        bpm=loop.bpm,
        bpm_alternatives=(
            (loop.bpm, found.bpm_confidence),
            *found.bpm_alternatives[1:],
        ),
        beats=tuple(times.tolist()),
        downbeats=tuple(firsts.tolist()),
        grid=Grid(
            bpm=loop.bpm,
            first_beat_seconds=first,
            first_downbeat_seconds=float(firsts[0] if len(firsts) else first),
            drift_ms=found.grid.drift_ms,
        ),
        segments=(Segment(float(times[0]), float(times[-1]), loop.bpm),),
    )


def rhythm(
    heard: Activations,
    slowest: float = beats.SLOWEST_BPM,
    fastest: float = beats.FASTEST_BPM,
) -> Rhythm:
    """Return the rhythm that an engine's activations tell of."""
    pulse = beats.track(heard, slowest, fastest)
    count = len(pulse.frames)
    if count < _FEWEST_BEATS or pulse.strengths.mean() < _LEAST_STRENGTH + 1 / count:
        return Rhythm(DEFAULT_BPM, reason="no pulse")
    is_first, meter = beats.bars(heard, pulse)
    line = grid.line(pulse.times, pulse.strengths)
    bpm = (
        grid.main_bpm(pulse.times, pulse.strengths)
        if line is None
        else 60.0 / line.interval
    )
    alternatives = _alternatives(heard, bpm)
    found = Rhythm(
        bpm=bpm,
        bpm_confidence=alternatives[0][1],
        bpm_alternatives=alternatives,
        beats=tuple(pulse.times.tolist()),
        downbeats=tuple(pulse.times[is_first].tolist()),
        meter=meter,
        grid=None if line is None else _grid(line, pulse.times[is_first]),
        segments=_segments(pulse.times, line),
    )
    if bpm > fastest * _ROUNDING and bpm / 2 >= slowest:
        found = _halved(found)
    if bpm < slowest / _ROUNDING and bpm * 2 <= fastest:
        found = _doubled(found)
    return replace(found, bpm=float(np.clip(found.bpm, slowest, fastest)))


def _segments(times: Floats, line: grid.Line | None) -> tuple[Segment, ...]:
    if line is None:
        return tuple(grid.segments(times))
    return (Segment(float(times[0]), float(times[-1]), 60.0 / line.interval),)


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
    """Return the tempo told and the engine's next best, with their shares.

    The first share is the confidence: a logistic function of the engine's odds of that
    tempo, fitted to how often such a tempo is right.
    """
    sure = 1 / (1 + np.exp(-(_SURE + _SURE_ODDS * log_odds(heard, bpm))))
    rest = heard.tempi.astype(np.float64)
    near = _near(bpm)
    found = [(bpm, float(sure))]
    rest[near] = 0
    for _ in range(2):
        other = float(TEMPI_BPM[int(rest.argmax())])
        near = _near(other)
        share = (1 - sure) * rest[near].sum() / max(rest.sum(), 1e-9)
        found.append((other, float(share)))
        rest = np.where(near, 0, rest)
    return tuple(found)


def log_odds(heard: Activations, bpm: float) -> float:
    """Return how likely the engine thinks a tempo, against all others together."""
    near = _near(bpm)
    told, rest = float(heard.tempi[near].sum()), float(heard.tempi[~near].sum())
    return float(np.log(told + 1e-3) - np.log(rest + 1e-3))


def _near(bpm: float) -> NDArray[np.bool_]:
    """Return which of the engine's tempi are within 4 % of one."""
    return np.abs(np.log2(TEMPI_BPM / bpm)) < 1 / 16
