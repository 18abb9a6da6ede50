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

# The tempo of sound without a pulse, so that the tempo is always a usable number.
DEFAULT_BPM = 120.0
_SHORTEST_SECONDS = 1.0
# Fitted by `benchmarks/confidence.py --fit`.
_SURE, _SURE_ODDS = 0.77, 1.19
# A beat up to this much before a loop's seam counts as the first beat of the loop.
_LOOP_EARLY_SECONDS = 0.03
# The mean beat strength is at least 0.45 in music, and up to 0.15 in noise and speech.
# A few beats may be chance, so the threshold rises by one over their number.
_LEAST_STRENGTH, _FEWEST_BEATS = 0.2, 3
# Beat intervals are exact to a frame, so a tempo may exceed its range by this factor.
_ROUNDING = 1.01
# The tolerance for a reported tempo at the ends of a range, in BPM.
_TOLERANCE_BPM = 0.02
# A tempo in a requested range is accepted with at least this confidence.
_LEAST_CONFIDENCE = 0.1
# A regression may place the song's first beat this much before its start.
_EARLY_SECONDS = 0.010
# An onset's activation spreads over this much.
_SMEARED_SECONDS = 0.06
# Tempi within 4 % count as equal.
_SAME_OCTAVES = 1 / 16
# Alternatives with a smaller share are left out.
_LEAST_SHARE = 0.001


@dataclass(frozen=True)
class Grid:
    """A constant grid: beats at `first_beat_seconds` + 60 / `bpm` * k.

    `first_downbeat_seconds` is the first beat that begins a bar; `drift_ms` is the
    largest distance between music and grid, averaged over 64 beats.
    """

    bpm: float
    first_beat_seconds: float
    first_downbeat_seconds: float
    drift_ms: float


@dataclass(frozen=True)
class Rhythm:
    """The rhythm of a song.

    `bpm` is the tempo that lasts longest. `bpm_confidence` estimates the probability
    that it is right; `bpm_alternatives` are the most likely other tempi and their
    shares of the rest of 1, most likely first. Beats and downbeats are in seconds, with
    none in silence. `grid` is None if the tempo is not constant; `segments` describe it
    then. If the confidence is 0, `reason` says why; `bpm` is then meaningless and there
    are no beats.
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
    """Finds the rhythm of a song that arrives in mono blocks at 22,050 Hz.

    `make_engine` returns the engine that detects the beats; a short song needs another
    one, to test it as a loop. After `result`, `is_noise` says whether a short piece is
    only noise.
    """

    def __init__(self, make_engine: Callable[[], Engine] = NetworkEngine) -> None:
        self._make_engine = make_engine
        self._engine = make_engine()
        self._samples = 0
        # The whole song, while it is short enough to be a loop or noise.
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

    def result(
        self,
        bpm_range: tuple[float, float] | None = None,
        silences: Sequence[Silence] = (),
    ) -> Rhythm:
        """Return the rhythm; call it once, after the last block.

        With `bpm_range`, the tempo is reported within it, if necessary by octaves up or
        down. If no tempo fits, `bpm` is the nearest end of the range and there are no
        beats. No beat is in `silences`.
        """
        if self._samples < _SHORTEST_SECONDS * SAMPLE_RATE:
            return Rhythm(DEFAULT_BPM, reason="too short")
        activations = _sounding(self._engine.activations(), silences)
        found = None
        if self._short:
            short = np.concatenate(self._short)
            once = beats.track(activations)
            self.is_noise = not loops.is_clear(once) and loops.is_noise(short)
            if self.is_noise:
                return Rhythm(DEFAULT_BPM, reason="no pulse")
            found = _looped(short, once, self._make_engine())
        if found is None:
            found = rhythm(activations)
        if bpm_range is not None:
            found = _within(found, activations, *bpm_range)
        return replace(
            found,
            beats=_outside(found.beats, silences),
            downbeats=_outside(found.downbeats, silences),
        )


def _sounding(activations: Activations, silences: Sequence[Silence]) -> Activations:
    """Return activations without those in silence, where a network continues."""
    times = np.arange(len(activations.beats)) / FRAMES_PER_SECOND
    is_sound = np.ones(len(times), np.bool_)
    for silence in silences:
        first, last = np.searchsorted(
            times, (silence.start + _SMEARED_SECONDS, silence.end - _SMEARED_SECONDS)
        )
        is_sound[first : last if silence.end < times[-1] else None] = False
    return replace(
        activations,
        beats=activations.beats * is_sound,
        downbeats=activations.downbeats * is_sound,
    )


def _outside(
    times: tuple[float, ...], silences: Sequence[Silence]
) -> tuple[float, ...]:
    """Return the times that are not in silence."""
    kept = np.array(times)
    for silence in silences:
        is_in = kept > silence.start + _SMEARED_SECONDS
        kept = kept[~(is_in & (kept < silence.end - _SMEARED_SECONDS))]
    return tuple(kept.tolist())


def _within(
    found: Rhythm, activations: Activations, slowest: float, fastest: float
) -> Rhythm:
    """Return the rhythm with a tempo in the range, by octaves up or down.

    If no octave fits, take the tempo of a part of the song in the range, else track the
    beats again within the range.
    """
    if found.reason is not None:
        return found
    octave = _octave(found.bpm, slowest, fastest)
    if octave is None and (bpm := _bpm_of_parts(found, slowest, fastest)):
        found, octave = replace(found, bpm=bpm), 0
    if octave is None:
        tracked = rhythm(activations, slowest / _ROUNDING, fastest * _ROUNDING)
        octave = _octave(tracked.bpm, slowest, fastest)
        if octave != 0 or tracked.bpm_confidence < _LEAST_CONFIDENCE:
            nearest = float(np.clip(found.bpm, slowest, fastest))
            return Rhythm(nearest, reason="no tempo in the range")
        found = tracked
    for _ in range(abs(octave)):
        found = _doubled(found) if octave > 0 else _halved(found)
    return replace(
        found,
        bpm=float(np.clip(found.bpm, slowest, fastest)),
        bpm_alternatives=tuple(_folded(found, slowest, fastest)),
    )


def _bpm_of_parts(found: Rhythm, slowest: float, fastest: float) -> float | None:
    """Return the tempo of the longest segment with a tempo in the range, or None."""
    parts = [part for part in found.segments if slowest <= part.bpm <= fastest]
    longest = max(parts, key=lambda part: part.end - part.start, default=None)
    return None if longest is None else longest.bpm


def _octave(bpm: float, slowest: float, fastest: float) -> int | None:
    """Return by how many octaves to move a tempo into the range; None if by none."""
    for octave in (0, 1, -1, 2, -2):
        if slowest - _TOLERANCE_BPM < bpm * 2.0**octave < fastest + _TOLERANCE_BPM:
            return octave
    return None


def _folded(
    found: Rhythm, slowest: float, fastest: float
) -> Iterator[tuple[float, float]]:
    """Yield the alternatives moved into the range, without the tempo itself."""
    for bpm, share in found.bpm_alternatives:
        octave = _octave(bpm, slowest, fastest)
        if octave is None:
            continue
        moved = float(np.clip(bpm * 2.0**octave, slowest, fastest))
        if not _is_same(moved, found.bpm):
            yield moved, share


def _doubled(found: Rhythm) -> Rhythm:
    """Double the tempo: insert a beat between any two and keep the bars.

    Bars get twice as many beats, or are split in half if that makes more than four.
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
    """Halve the tempo: keep every second beat from the first downbeat on."""
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
    """Scale a grid's tempo; its first beat moves if it falls between two beats."""
    bpm = line.bpm * speed
    beats_before = np.floor(
        (line.first_downbeat_seconds - line.first_beat_seconds) * bpm / 60 + 0.01
    )
    first = max(line.first_downbeat_seconds - float(beats_before) * 60 / bpm, 0.0)
    return replace(line, bpm=bpm, first_beat_seconds=first)


def _looped(mono: Samples, once: beats.Pulse, engine: Engine) -> Rhythm | None:
    """Return the rhythm of a loop, with its tempo from its length; None if not a loop.

    `once` are the beats when it is played once; `engine` analyses it repeated. The
    result is from its second repetition, which includes what rings over from the first.
    """
    loop = loops.find(mono, once, engine)
    if loop is None:
        return None
    found = rhythm(loop.activations, loop.bpm / _ROUNDING, loop.bpm * _ROUNDING)
    if found.grid is None:
        return None
    seconds, interval = len(mono) / SAMPLE_RATE, 60.0 / loop.bpm
    # A beat right before the loop begins is its first beat.
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
    activations: Activations,
    slowest: float = beats.SLOWEST_BPM,
    fastest: float = beats.FASTEST_BPM,
) -> Rhythm:
    """Return the rhythm from an engine's activations."""
    pulse = beats.track(activations, slowest, fastest)
    count = len(pulse.frames)
    if count < _FEWEST_BEATS or pulse.strengths.mean() < _LEAST_STRENGTH + 1 / count:
        return Rhythm(DEFAULT_BPM, reason="no pulse")
    is_first, meter = beats.bars(activations, pulse)
    line = grid.line(pulse.times, pulse.strengths)
    bpm = (
        grid.main_bpm(pulse.times, pulse.strengths)
        if line is None
        else 60.0 / line.interval
    )
    confidence, alternatives = _confidence(activations, bpm)
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
    if bpm > fastest + _TOLERANCE_BPM and bpm / 2 >= slowest:
        found = _halved(found)
    elif bpm < slowest - _TOLERANCE_BPM and bpm * 2 <= fastest:
        found = _doubled(found)
    # After a change of octave, an alternative may equal the tempo.
    rest = tuple(each for each in alternatives if not _is_same(each[0], found.bpm))
    return replace(found, bpm_alternatives=rest)


def _is_same(bpm: float, other: float) -> bool:
    return bool(abs(np.log2(bpm / other)) < _SAME_OCTAVES)


def _segments(times: Floats, line: grid.Line | None) -> tuple[Segment, ...]:
    if line is None:
        return tuple(grid.segments(times))
    return (Segment(float(times[0]), float(times[-1]), 60.0 / line.interval),)


def _grid(line: grid.Line, downbeats: Floats, meter: int) -> Grid:
    """Return the grid of a line, with its first beat and first downbeat in the song.

    A regression may place the first beat slightly before the song: the grid then begins
    at 0.
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
    activations: Activations, bpm: float
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the confidence in a tempo, and two alternatives with their shares.

    The confidence is a logistic function of the engine's log odds of the tempo, fitted
    to how often such a tempo is right.
    """
    sure = 1 / (1 + np.exp(-(_SURE + _SURE_ODDS * log_odds(activations, bpm))))
    rest = activations.tempi.astype(np.float64)
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


def log_odds(activations: Activations, bpm: float) -> float:
    """Return the engine's log odds of a tempo against all others together."""
    near = _near(bpm)
    own, rest = (
        float(activations.tempi[near].sum()),
        float(activations.tempi[~near].sum()),
    )
    return float(np.log(own + 1e-3) - np.log(rest + 1e-3))


def _near(bpm: float) -> NDArray[np.bool_]:
    """Return which of TEMPI_BPM are within 4 % of a tempo."""
    return np.abs(np.log2(TEMPI_BPM / bpm)) < _SAME_OCTAVES
