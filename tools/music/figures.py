"""Bass lines, accompaniments and melodies over bars of chords."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.music import harmony
from tools.music.values import Bar, Chord, Note


@dataclass(frozen=True)
class Ground:
    """The context of a figure: bars, beats in a bar, and steps in a beat."""

    bars: tuple[Bar, ...]
    beats_per_bar: int
    division: int

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.beats_per_bar * self.division


def _above(pitch_class: int, lowest: int) -> int:
    return lowest + (pitch_class - lowest) % 12


def _velocity(rng: np.random.Generator, level: float) -> int:
    return int(np.clip(level + rng.normal(0, 7), 12, 127))


def voicing(chord: Chord, lowest: int) -> list[int]:
    """Return a chord's pitches in close position, the lowest just above `lowest`."""
    return sorted(_above(pc, lowest) for pc in dict.fromkeys(chord.pitch_classes))


# Bass lines by division and name, one character per step: r is the root, f the fifth, o
# the octave, t the third, s the seventh or sixth, a step towards the next root; "-"
# holds and "." is silent.
BASS: dict[int, dict[str, tuple[str, ...]]] = {
    4: {
        "whole": ("r---------------",),
        "half": ("r-------f-------", "r-------r-------"),
        "quarters": ("r---r---r---r---", "r---r---f---r---"),
        "eighths": ("r-r-r-r-r-r-r-r-", "r-r-r-r-r-r-f-a-"),
        "sixteenths": ("rrrrrrrrrrrrrrrr", "r.rrr.rrr.rrr.rr", "rroorroorroorroo"),
        "octaves": ("r-o-r-o-r-o-r-o-", "r.o.r.o.r.o.r.o."),
        "off": ("..r-..r-..r-..r-", "..rr..rr..rr..rr", "..r-..r-..r-..o-"),
        "gallop": ("r-rrr-rrr-rrr-rr", "rrr-rrr-rrr-rrr-"),
        "tresillo": ("r-----r-----r---", "r--r--r-r--r--r-", "r-----f-----o---"),
        "late": ("..r---..r-----r-", "r-....r---..r-..", "...r--r---r--r--"),
        "syncopated": ("r--r..r-..f-..o-", "r-.r..f-..r.o-..", "r..r..r...o..f.a"),
        "two": ("r---....f---....", "r-------f---a---"),
        "oompah": ("r-..f-..r-..f-..", "r---....f---...."),
        "walk": ("r---t---f---a---", "r---f---o---a---", "r---t---f---s---"),
        "arpeggio": ("r-f-o-f-r-f-o-f-", "r-t-f-t-o-f-t-f-", "r-f-o-t-f-o-f-a-"),
        "riff": ("r.r.o.r.s.r.f.s.", "r..rs.r.f.s.o..r", "r.ro..rs..f.r..."),
        "pedal": ("p-p-p-p-p-p-p-p-", "p---p---p---p---"),
        "sub": ("r-----------....", "r-------..r-----", "r---------r-r---"),
        "tumbao": ("......f-----o---", "r-....f-....o---"),
        "boogie": ("r-t-f-s-o-s-f-t-",),
    },
    3: {
        "whole": ("r-----------",),
        "half": ("r-----f-----", "r-----r-----"),
        "quarters": ("r--r--r--r--", "r--r--f--r--"),
        "walk": ("r--t--f--a--", "r--f--o--a--", "r--t--f-tf-a"),
        "shuffle": ("r-rr-rr-rr-r", "r-rf-fs-sf-f", "r-ro-or-rf-f"),
        "triplets": ("rrrrrrrrrrrr", "rtforfrtforf"),
        "boogie": ("r-rt-tf-fs-s", "r-tf-so-sf-t"),
        "two": ("r--...f--...",),
        "late": ("..r--r..r--r", "r-.--r..f--r"),
    },
}

# Accompaniments by division: c is the chord, 0 1 2 3 its notes from below, b its lowest
# note an octave lower.
COMPS: dict[int, dict[str, tuple[str, ...]]] = {
    4: {
        "pad": ("c---------------", "c-------c-------"),
        "quarters": ("c---c---c---c---", "c-..c-..c-..c-.."),
        "eighths": ("c-c-c-c-c-c-c-c-", "c.c.c.c.c.c.c.c."),
        "sixteenths": ("cccccccccccccccc", "c.ccc.ccc.ccc.cc"),
        "off": ("..c-..c-..c-..c-", "..c...c...c...c."),
        "backbeat": ("....c-......c-..", "....c.......c..."),
        "charleston": ("c-----c-........", "..c---..c-......", "c---..c---..c---"),
        "stabs": ("c..c..c...c..c..", "..c..c..c..c..c.", "c.....c..c....c."),
        "strum": ("c---c-cc..ccc-cc", "c---c---..c-c-c-", "c-c-c.cc.cc.c-c."),
        "skank": ("....c.......c...", "..c...c...c...c."),
        "arpeggio": ("0-1-2-3-2-1-0-1-", "0-2-1-3-0-2-1-3-"),
        "fast arpeggio": ("0123012301230123", "0121012101210121", "0213021302130213"),
        "alberti": ("0-2-1-2-0-2-1-2-", "0212021202120212"),
        "broken": ("b-1-2-1-3-2-1-2-", "b-2-3-2-1-2-3-2-"),
        "against": ("0--1--2--0--1--2", "c--c--c--c--c--c", "0--2--1--3--0--1"),
        "stride": ("b-..c-..b-..c-..", "b-..c.c.b-..c.c."),
        "waltz": ("b-..c-..c-..b-..", "b---c-..c...b---"),
        "power": ("c-c-c-c-c-c-c-c-", "c-------c---c-c-", "c-cc.cc.c-cc.c.."),
        "chug": ("c.ccc.ccc.ccc.cc", "cccccccccccccccc", "c..c..c.c..c..cc"),
        "montuno": ("0-.2c.2.0.2.c-2.", "c.0c.2c.0c.2c.0."),
    },
    3: {
        "pad": ("c-----------", "c-----c-----"),
        "quarters": ("c--c--c--c--", "c-.c-.c-.c-."),
        "swung": ("c-..-c...c..", "..c..c..c..c", "c....c......"),
        "off": ("..c..c..c..c",),
        "backbeat": ("...c-....c-.",),
        "shuffle": ("c-cc-cc-cc-c",),
        "triplets": ("ccc" * 4, "012012012012", "012321012321"),
        "broken": ("b12321b12321", "b-1-2-3-2-1-"),
        "stride": ("b-.c-.b-.c-.",),
        "charleston": ("c--..c......", "...c-...c-.."),
    },
}


def bass(
    rng: np.random.Generator, ground: Ground, kind: str, lowest: int
) -> list[Note]:
    """Return a bass line of a kind over all bars."""
    variants = [fitted(row, ground.steps) for row in BASS[ground.division][kind]]
    chosen = {
        letter: variants[rng.integers(len(variants))] for letter in _letters(ground)
    }
    notes: list[Note] = []
    hold = float(rng.choice([0.95, 0.8, 0.55]))
    for index, bar in enumerate(ground.bars):
        row = chosen[bar.section[0]]
        after = ground.bars[min(index + 1, len(ground.bars) - 1)]
        for step, length, sign in strokes(row):
            at = step / ground.division
            chord = bar.chord_at(at)
            pitch = _bass_pitch(rng, sign, chord, bar, after, lowest)
            beat = index * ground.beats_per_bar + at
            accent = 100 if step % ground.division == 0 else 88
            notes.append(
                Note(
                    beat, length / ground.division * hold, pitch, _velocity(rng, accent)
                )
            )
    return notes


def _bass_pitch(
    rng: np.random.Generator,
    sign: str,
    chord: Chord,
    bar: Bar,
    after: Bar,
    lowest: int,
) -> int:
    root = _above(chord.root, lowest)
    if sign == "o":
        return root + 12
    if sign == "f":
        return root + (chord.intervals[2] if len(chord.intervals) > 2 else 7)
    if sign == "t":
        return root + chord.intervals[1]
    if sign == "s":
        return root + (
            chord.intervals[3] if len(chord.intervals) > 3 else 9 + 1 * bar.key.is_minor
        )
    if sign == "p":
        return _above(bar.key.tonic, lowest)
    if sign == "a":
        target = _above(after.chords[0][1].root, lowest)
        scale = after.key.scale
        steps = [s for s in (-2, -1, 1, 2) if (target + s) % 12 in scale or s == -1]
        return target + int(rng.choice(steps or [-1]))
    return root


def comp(
    rng: np.random.Generator, ground: Ground, kind: str, lowest: int
) -> list[Note]:
    """Return an accompaniment of a kind over all bars."""
    variants = [fitted(row, ground.steps) for row in COMPS[ground.division][kind]]
    chosen = {
        letter: variants[rng.integers(len(variants))] for letter in _letters(ground)
    }
    is_power = kind in ("power", "chug")
    hold = 0.98 if kind == "pad" else float(rng.choice([0.9, 0.7, 0.5]))
    level = float(rng.uniform(62, 92))
    notes: list[Note] = []
    for index, bar in enumerate(ground.bars):
        for step, length, sign in strokes(chosen[bar.section[0]]):
            at = step / ground.division
            chord = bar.chord_at(at)
            pitches = _comp_pitches(sign, chord, lowest, is_power)
            beat = index * ground.beats_per_bar + at
            accent = 8.0 if step % ground.division == 0 else 0.0
            notes += [
                Note(
                    beat,
                    length / ground.division * hold,
                    p,
                    _velocity(rng, level + accent),
                )
                for p in pitches
            ]
    return notes


def _comp_pitches(sign: str, chord: Chord, lowest: int, is_power: bool) -> list[int]:
    if is_power:
        root = _above(chord.root, 40)
        return [root, root + 7, root + 12]
    notes = voicing(chord, lowest)
    if sign == "c":
        return notes
    if sign == "b":
        return [_above(chord.root, lowest) - 12]
    place = int(sign)
    return [notes[place % len(notes)] + 12 * (place // len(notes))]


def fitted(row: str, steps: int) -> str:
    """Fit the steps of a bar of four beats to another length."""
    if steps <= len(row):
        return row[:steps]
    return (row * (steps // len(row) + 1))[:steps]


def strokes(row: str) -> list[tuple[int, int, str]]:
    """Return each stroke's first step, its length in steps, and its symbol."""
    found: list[tuple[int, int, str]] = []
    for step, sign in enumerate(row):
        if sign == "-" and found and sum(found[-1][:2]) == step:
            found[-1] = (found[-1][0], found[-1][1] + 1, found[-1][2])
        elif sign not in "-.":
            found.append((step, 1, sign))
    return found


def _letters(ground: Ground) -> list[str]:
    return list(dict.fromkeys(bar.section[0] for bar in ground.bars))


# Rhythms of two beats by division: each note's length in steps, negative for a rest.
_CELLS: dict[int, dict[str, tuple[tuple[int, ...], ...]]] = {
    4: {
        "calm": ((8,), (4, 4), (6, 2), (4, 2, 2), (-4, 4), (2, 2, 4)),
        "plain": ((4, 4), (2, 2, 4), (4, 2, 2), (2, 2, 2, 2), (6, 2), (-2, 2, 4)),
        "busy": (
            (2, 2, 2, 2),
            (1, 1, 2, 2, 2),
            (2, 1, 1, 2, 1, 1),
            (3, 3, 2),
            (2, 2, 1, 1, 2),
            (1, 1, 1, 1, 4),
        ),
        "fast": ((1,) * 8, (2, 1, 1, 2, 1, 1), (1, 1, 2, 1, 1, 2), (2, 2, 1, 1, 1, 1)),
        "syncopated": (
            (3, 3, 2),
            (-2, 4, 2),
            (1, 2, 3, 2),
            (3, 1, 2, 2),
            (2, 4, 2),
            (-1, 3, 4),
            (-2, 2, 2, 2),
            (3, 5),
        ),
    },
    3: {
        "calm": ((6,), (3, 3), (5, 1)),
        "plain": ((3, 3), (2, 1, 3), (2, 1, 2, 1), (5, 1), (3, 2, 1)),
        "busy": ((1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 1), (2, 1, 2, 1), (1, 1, 1, 3)),
        "fast": ((1,) * 6, (1, 1, 1, 2, 1)),
        "syncopated": ((2, 2, 2), (-2, 1, 3), (2, 3, 1), (-2, 4), (-2, 1, 2, 1)),
    },
}


@dataclass(frozen=True)
class Tune:
    """The character of a melody: the kind of its rhythm, its range and its leaps."""

    rhythm: str
    lowest: int
    leap: float
    rest: float
    chromatic: float = 0.0


def melody(rng: np.random.Generator, ground: Ground, tune: Tune) -> list[Note]:
    """Return a melody of repeated two-bar motifs, fitted to the chords."""
    motifs: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
    notes: list[Note] = []
    pitch = tune.lowest + 8
    for index, bar in enumerate(ground.bars):
        # a b a c: a phrase repeats its first bars, then ends differently.
        place = (0, 1, 0, 2)[index % 4] + 3 * (index // 8 % 2)
        name = (bar.section[0], place)
        if name not in motifs:
            motifs[name] = _motif(rng, ground, tune, is_end=place % 3 == 2)
        for step, length, move in motifs[name]:
            at = step / ground.division
            chord = bar.chord_at(at)
            is_strong = step % ground.division == 0 or length >= ground.division
            pitch = _next(pitch, move, chord, bar, is_strong, tune.lowest)
            if not is_strong and rng.random() < tune.chromatic:
                pitch += int(rng.choice([-1, 1]))
            is_cadence = index + 1 == len(ground.bars) and step + length >= ground.steps
            if is_cadence:
                pitch = _nearest(pitch, {bar.key.tonic})
            beat = index * ground.beats_per_bar + at
            accent = 104 if is_strong else 92
            notes.append(
                Note(
                    beat, length / ground.division * 0.93, pitch, _velocity(rng, accent)
                )
            )
    return notes


def _motif(
    rng: np.random.Generator, ground: Ground, tune: Tune, is_end: bool
) -> list[tuple[int, int, int]]:
    cells = _CELLS[ground.division][tune.rhythm]
    found: list[tuple[int, int, int]] = []
    step = 0
    while step < ground.steps:
        for length in cells[rng.integers(len(cells))]:
            size = min(abs(length), ground.steps - step)
            if size <= 0:
                break
            is_rest = length < 0 or rng.random() < tune.rest
            if not is_rest:
                reach = 4 if rng.random() < tune.leap else 2
                found.append((step, size, int(rng.integers(-reach, reach + 1))))
            step += size
    if is_end and found:
        # A phrase ends on a long note.
        keep = [note for note in found if note[0] <= ground.steps // 2] or found[:1]
        at, _, move = keep[-1]
        found = [*keep[:-1], (at, ground.steps - at, move)]
    return found


def _next(
    pitch: int, move: int, chord: Chord, bar: Bar, is_strong: bool, lowest: int
) -> int:
    scale = harmony.scale_of(bar.key, chord)
    ladder = [p for p in range(lowest - 3, lowest + 22) if p % 12 in scale]
    at = min(range(len(ladder)), key=lambda i: abs(ladder[i] - pitch))
    moved = ladder[int(np.clip(at + move, 0, len(ladder) - 1))]
    # Return to the middle of the range.
    if moved > lowest + 19:
        moved -= 12
    return _nearest(moved, set(chord.pitch_classes)) if is_strong else moved


def _nearest(pitch: int, classes: set[int]) -> int:
    return min(
        (p for p in range(pitch - 6, pitch + 7) if p % 12 in classes),
        key=lambda p: abs(p - pitch),
    )


def swung(ratio: float, division: int) -> Callable[[float], float]:
    """Return a function that delays off-beats, of eighths (2) or sixteenths (4)."""

    def moved(beat: float) -> float:
        scale = division / 2
        whole, part = divmod(beat * scale + 1e-9, 1.0)
        bent = part * 2 * ratio if part < 0.5 else 1 - (1 - part) * 2 * (1 - ratio)
        return float((whole + bent) / scale)

    return moved


def doubled_thirds(notes: Sequence[Note], ground: Ground) -> list[Note]:
    """Return a second voice about a third below, in the scale."""
    found = []
    for note in notes:
        index = min(int(note.beat // ground.beats_per_bar), len(ground.bars) - 1)
        bar = ground.bars[index]
        chord = bar.chord_at(note.beat - index * ground.beats_per_bar)
        scale = harmony.scale_of(bar.key, chord)
        below = [p for p in range(note.pitch - 9, note.pitch) if p % 12 in scale]
        pitch = below[-2] if len(below) > 1 else note.pitch - 12
        found.append(Note(note.beat, note.length, pitch, max(note.velocity - 14, 10)))
    return found


def crossed(
    rng: np.random.Generator, ground: Ground, lowest: int, is_bass: bool
) -> list[Note]:
    """Return groups of steps that cross the bar, such as threes over sixteenths.

    They continue across bar lines and restart with each section.
    """
    groups = (3, 5, 6, 6, 3) if ground.division == 4 else (2, 4, 2)
    group = int(rng.choice(groups))
    is_full = bool(rng.random() < 0.5) and not is_bass
    hold = float(rng.choice([0.9, 0.6]))
    notes: list[Note] = []
    step = 0
    for index, bar in enumerate(ground.bars):
        if index == 0 or ground.bars[index - 1].section != bar.section:
            step = 0
        for at in range(ground.steps):
            beat = at / ground.division
            chord = bar.chord_at(beat)
            is_accent = step % group == 0
            if is_accent or is_full:
                pitches = voicing(chord, lowest)
                place = step // group if not is_full else step % group
                pitch = pitches[place % len(pitches)]
                if is_bass:
                    pitch = _above(chord.root, lowest)
                length = (1 if is_full else group) / ground.division * hold
                level = 104 if is_accent else 74
                start = index * ground.beats_per_bar + beat
                notes.append(Note(start, length, pitch, _velocity(rng, level)))
            step += 1
    return notes


def pushed(
    notes: Sequence[Note], ground: Ground, bars: set[int], early: float
) -> list[Note]:
    """Anticipate the notes that begin these bars, keeping their ends."""
    per_bar = ground.beats_per_bar
    found = []
    for note in notes:
        index, at = divmod(note.beat + 1e-6, per_bar)
        is_moved = at < 0.01 and int(index) in bars and note.beat >= early
        if is_moved:
            found.append(
                replace(note, beat=note.beat - early, length=note.length + early)
            )
        else:
            found.append(note)
    return found
