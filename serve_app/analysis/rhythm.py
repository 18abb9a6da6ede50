"""The rhythm of a song: tempo, beats, bars and grid."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis import beats, grid, loops
from serve_app.analysis.downmix import SAMPLE_RATE, Samples
from serve_app.analysis.features import FRAMES_PER_SECOND
from serve_app.analysis.grid import Segment
from serve_app.analysis.network import TEMPI_BPM, Activations, Engine, NetworkEngine
from serve_app.analysis.silence import Silence

Floats = NDArray[np.floating]

# Said of what has no pulse, so that the tempo is always a usable number.
DEFAULT_BPM = 120.0
_SHORTEST_SECONDS = 1.0
# By `benchmarks/confidence.py --fit`.
_SURE, _SURE_ODDS = 0.77, 1.19
# A beat that is heard so much before a loop's seam begins the loop.
_LOOP_EARLY_SECONDS = 0.03
# Music's beats are heard with 0.45 and more on average, those of noise and of speech
# with up to 0.15; few beats, which chance can make, must be surer: by one through
# their count.
_LEAST_STRENGTH, _FEWEST_BEATS = 0.2, 3
# Intervals between beats are found to a frame, by which a tempo may leave its range.
_ROUNDING = 1.01
# Tempi are exact to about a hundredth.
_TOLD = 0.02
# A tempo within a range is one of the song's if it is right so often.
_LEAST_CONFIDENCE = 0.1
# A regression may put the beat that a song begins with so far before it.
_EARLY_SECONDS = 0.010
# An onset is heard over some frames.
_SMEARED_SECONDS = 0.06
# Tempi within 4 % are one.
_SAME_OCTAVES = 1 / 16
# An alternative that is less likely is none.
_LEAST_SHARE = 0.001


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

    `bpm` is the tempo that lasts longest. `bpm_confidence` is about how often such a
    tempo is right; `bpm_alternatives` are the likeliest other tempi with their shares
    of what is left of 1, likeliest first. Beats and downbeats are in seconds, and none
    is where there is silence. `grid` is None where the tempo is not constant:
    `segments` tell it then. `reason` says why the confidence is 0: `bpm` means nothing
    then and there are no beats.
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
    """Finds the rhythm of a song that comes as mono blocks at 22,050 Hz.

    `make_engine` makes what hears the song, and a short one once more as a loop.
    `is_noise`, once that was found, says that a short piece is nothing but noise.
    """

    def __init__(self, make_engine: Callable[[], Engine] = NetworkEngine) -> None:
        self._make_engine = make_engine
        self._engine = make_engine()
        self._samples = 0
        # All of it, while it is short enough to be a loop or noise.
        self._short: list[Samples] = []
        self.is_noise = False

    def add(self, mono: Samples) -> None:
        """Take the next block (n)."""
        self._engine.add(mono)
        self._samples += len(mono)
        if self._samples <= loops.DOUBTFUL_SECONDS * SAMPLE_RATE:
            self._short.append(mono)
        else:
            self._short.clear()

    def found(
        self,
        bpm_range: tuple[float, float] | None = None,
        silences: Sequence[Silence] = (),
    ) -> Rhythm:
        """Return the rhythm, once no block comes any more.

        With a range the tempo is told within it, an octave up or down if need be. A
        song that has none there has the nearest end of the range and no beats. No beat
        is in `silences`.
        """
        if self._samples < _SHORTEST_SECONDS * SAMPLE_RATE:
            return Rhythm(DEFAULT_BPM, reason="too short")
        heard = _sounding(self._engine.activations(), silences)
        found = None
        if self._short:
            short = np.concatenate(self._short)
            once = beats.track(heard)
            self.is_noise = not loops.is_clear(once) and loops.is_noise(short)
            if self.is_noise:
                return Rhythm(DEFAULT_BPM, reason="no pulse")
            found = _looped(short, once, self._make_engine())
        if found is None:
            found = rhythm(heard)
        if bpm_range is not None:
            found = _within(found, heard, *bpm_range)
        return replace(
            found,
            beats=_outside(found.beats, silences),
            downbeats=_outside(found.downbeats, silences),
        )


def _sounding(heard: Activations, silences: Sequence[Silence]) -> Activations:
    """Return what is heard where there is sound: a network also goes on without."""
    times = np.arange(len(heard.beats)) / FRAMES_PER_SECOND
    is_sound = np.ones(len(times), np.bool_)
    for silence in silences:
        first, last = np.searchsorted(
            times, (silence.start + _SMEARED_SECONDS, silence.end - _SMEARED_SECONDS)
        )
        is_sound[first : last if silence.end < times[-1] else None] = False
    return replace(
        heard, beats=heard.beats * is_sound, downbeats=heard.downbeats * is_sound
    )


def _outside(
    times: tuple[float, ...], silences: Sequence[Silence]
) -> tuple[float, ...]:
    """Return the beats that are not in silence."""
    kept = np.array(times)
    for silence in silences:
        is_in = kept > silence.start + _SMEARED_SECONDS
        kept = kept[~(is_in & (kept < silence.end - _SMEARED_SECONDS))]
    return tuple(kept.tolist())


def _within(
    found: Rhythm, heard: Activations, slowest: float, fastest: float
) -> Rhythm:
    """Tell the same rhythm faster or slower by octaves, so that it is in the range.

    Where no octave of it is, a part of the song may have such a tempo; else the
    likeliest beats are those of another rhythm.
    """
    if found.reason is not None:
        return found
    octave = _octave(found.bpm, slowest, fastest)
    if octave is None and (bpm := _bpm_of_parts(found, slowest, fastest)):
        found, octave = replace(found, bpm=bpm), 0
    if octave is None:
        told = rhythm(heard, slowest / _ROUNDING, fastest * _ROUNDING)
        octave = _octave(told.bpm, slowest, fastest)
        if octave != 0 or told.bpm_confidence < _LEAST_CONFIDENCE:
            nearest = float(np.clip(found.bpm, slowest, fastest))
            return Rhythm(nearest, reason="no tempo in the range")
        found = told
    for _ in range(abs(octave)):
        found = _doubled(found) if octave > 0 else _halved(found)
    return replace(
        found,
        bpm=float(np.clip(found.bpm, slowest, fastest)),
        bpm_alternatives=tuple(_folded(found, slowest, fastest)),
    )


def _bpm_of_parts(found: Rhythm, slowest: float, fastest: float) -> float | None:
    """Return the tempo of the longest part whose tempo is in the range."""
    parts = [part for part in found.segments if slowest <= part.bpm <= fastest]
    longest = max(parts, key=lambda part: part.end - part.start, default=None)
    return None if longest is None else longest.bpm


def _octave(bpm: float, slowest: float, fastest: float) -> int | None:
    """Return how many octaves up or down a tempo is in a range; None if in none."""
    for octave in (0, 1, -1, 2, -2):
        if slowest - _TOLD < bpm * 2.0**octave < fastest + _TOLD:
            return octave
    return None


def _folded(
    found: Rhythm, slowest: float, fastest: float
) -> Iterator[tuple[float, float]]:
    """Yield the alternatives that are others within a range too."""
    for bpm, share in found.bpm_alternatives:
        octave = _octave(bpm, slowest, fastest)
        if octave is None:
            continue
        told = float(np.clip(bpm * 2.0**octave, slowest, fastest))
        if not _is_same(told, found.bpm):
            yield told, share


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
        beats=tuple(times.tolist()),
        downbeats=tuple(firsts.tolist()),
        meter=meter,
        grid=None if line is None else _counted_grid(line, speed),
        segments=tuple(
            replace(segment, bpm=segment.bpm * speed) for segment in found.segments
        ),
    )


def _counted_grid(line: Grid, speed: float) -> Grid:
    """Count a grid at another speed; its first beat may fall between two then."""
    bpm = line.bpm * speed
    beats_before = np.floor(
        (line.first_downbeat_seconds - line.first_beat_seconds) * bpm / 60 + 0.01
    )
    first = max(line.first_downbeat_seconds - float(beats_before) * 60 / bpm, 0.0)
    return replace(line, bpm=bpm, first_beat_seconds=first)


def _looped(mono: Samples, once: beats.Pulse, engine: Engine) -> Rhythm | None:
    """Return the rhythm of a loop, whose length tells its tempo; None of what is none.

    `once` are its beats when it is played once, and `engine` hears it played on. What
    is told are those of its second time, when what rings over its end is heard.
    """
    loop = loops.find(mono, once, engine)
    if loop is None:
        return None
    found = rhythm(loop.heard, loop.bpm / _ROUNDING, loop.bpm * _ROUNDING)
    if found.grid is None:
        return None
    seconds, interval = len(mono) / SAMPLE_RATE, 60.0 / loop.bpm
    # A beat right before the loop begins is its first.
    first = found.grid.first_beat_seconds - seconds + _LOOP_EARLY_SECONDS
    first = max(first % interval - _LOOP_EARLY_SECONDS, 0.0)
    times = first + interval * np.arange(loop.count)
    downbeats = np.array(found.downbeats)
    starts = np.rint((downbeats - seconds - first) / interval).astype(np.intp)
    firsts = times[starts[(starts >= 0) & (starts < loop.count)]]
    return replace(
        found,
        bpm=loop.bpm,
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
    confidence, alternatives = _confidence(heard, bpm)
    found = Rhythm(
        bpm=bpm,
        bpm_confidence=confidence,
        bpm_alternatives=alternatives,
        beats=tuple(pulse.times.tolist()),
        downbeats=tuple(pulse.times[is_first].tolist()),
        meter=meter,
        grid=None if line is None else _grid(line, pulse.times[is_first], meter),
        segments=_segments(pulse.times, line),
    )
    if bpm > fastest + _TOLD and bpm / 2 >= slowest:
        found = _halved(found)
    elif bpm < slowest - _TOLD and bpm * 2 <= fastest:
        found = _doubled(found)
    # At another speed than the engine heard, what it thought of next may be the tempo.
    rest = tuple(each for each in alternatives if not _is_same(each[0], found.bpm))
    return replace(found, bpm_alternatives=rest)


def _is_same(bpm: float, other: float) -> bool:
    return bool(abs(np.log2(bpm / other)) < _SAME_OCTAVES)


def _segments(times: Floats, line: grid.Line | None) -> tuple[Segment, ...]:
    if line is None:
        return tuple(grid.segments(times))
    return (Segment(float(times[0]), float(times[-1]), 60.0 / line.interval),)


def _grid(line: grid.Line, downbeats: Floats, meter: int) -> Grid:
    """Return the grid of a line, its first beat and its first downbeat in the song.

    A regression may put the beat that a song begins with a little before it: the grid
    begins with the song then.
    """
    first = downbeat = 0.0 if -_EARLY_SECONDS < line.start < 0 else line.start
    if len(downbeats):
        downbeat += line.interval * round((downbeats[0] - line.start) / line.interval)
    if first < 0:
        first += line.interval
    if downbeat < 0:
        downbeat += meter * line.interval
    return Grid(
        bpm=60.0 / line.interval,
        first_beat_seconds=float(first),
        first_downbeat_seconds=float(downbeat),
        drift_ms=1_000 * line.drift,
    )


def _confidence(
    heard: Activations, bpm: float
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return how sure a tempo is, and the engine's next best, with their shares.

    A logistic function of the engine's odds of that tempo, fitted to how often such a
    tempo is right.
    """
    sure = 1 / (1 + np.exp(-(_SURE + _SURE_ODDS * log_odds(heard, bpm))))
    rest = heard.tempi.astype(np.float64)
    near = _near(bpm)
    rest[near] = 0
    left = (1 - sure) / max(rest.sum(), 1e-9)
    found = []
    for _ in range(2):
        other = float(TEMPI_BPM[int(rest.argmax())])
        near = _near(other)
        found.append((other, float(left * rest[near].sum())))
        rest = np.where(near, 0, rest)
    found.sort(key=itemgetter(1), reverse=True)
    return float(sure), tuple(each for each in found if each[1] >= _LEAST_SHARE)


def log_odds(heard: Activations, bpm: float) -> float:
    """Return how likely the engine thinks a tempo, against all others together."""
    near = _near(bpm)
    told, rest = float(heard.tempi[near].sum()), float(heard.tempi[~near].sum())
    return float(np.log(told + 1e-3) - np.log(rest + 1e-3))


def _near(bpm: float) -> NDArray[np.bool_]:
    """Return which of the engine's tempi are within 4 % of one."""
    return np.abs(np.log2(TEMPI_BPM / bpm)) < _SAME_OCTAVES
