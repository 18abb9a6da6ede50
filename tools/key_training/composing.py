"""Songs with known keys, with varied harmony, melody, bass and accompaniment."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.demo_training.notes import Note

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)
LYDIAN = (0, 2, 4, 6, 7, 9, 11)
# Includes the blue notes beside the thirds and the fifth of the chords.
BLUES = (0, 2, 3, 4, 5, 6, 7, 9, 10)
MINOR_BLUES = (0, 3, 5, 6, 7, 10)
# Songs with this seed or a later one are blues, rock and riffs.
FIRST_ROCK = 3_000

# A chord: its root and its notes, in semitones above the tonic.
Chord = tuple[int, tuple[int, ...]]

_QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "o": (0, 3, 6),
    "+": (0, 4, 8),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "j": (0, 4, 7, 11),
    "h": (0, 3, 6, 10),
    "d": (0, 3, 6, 9),
    "p": (0, 7),
    "s": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "9": (0, 4, 10, 14),
    "m9": (0, 3, 10, 14),
}

# Weighted successors of each chord: the root in semitones above the tonic, and the
# quality.
_FUNCTIONAL_MAJOR = {
    "0": "5:4 7:4 9m:4 2m:3 4m:2 0:3 7/7:2 10:.5 0/7:.7 8:.3 5m:.3 4/7:.4",
    "2m": "7:5 7/7:4 5:1 0:.5 1:.2",
    "4m": "9m:3 5:3 2m:1",
    "5": "0:4 7:4 2m:2 7/7:2 5m:.5 2/7:.5 9m:.5 10:.3 6d:.3",
    "5m": "0:3 7:1",
    "7": "0:6 9m:2 5:1 7/7:1 4m:.4",
    "7/7": "0:8 9m:1.5",
    "9m": "2m:3 5:4 4m:1 7:2 2/7:.7 9m:.5",
    "10": "5:2 0:3",
    "0/7": "5:5 5m:.5",
    "8": "10:3 7:2 0:1",
    "4/7": "9m:5 5:1",
    "2/7": "7:4 7/7:3",
    "1": "7:1 0:1",
    "6d": "0:1 7:3",
}
_FUNCTIONAL_MINOR = {
    "0m": "5m:4 7:3 8:3 10:3 3:2 2h:1.5 0m:3 7/7:2.5 7m:.8 0/7:.3 1:.3 5:.4",
    "2h": "7:3 7/7:4",
    "3": "8:3 5m:2 10:2 7:1 2h:.6 3+:.2",
    "3+": "0m:1 8:1",
    "5m": "0m:4 7:3 7/7:3 10:2 2h:1 8:.6 1:.2",
    "5": "7:2 0m:2 10:1",
    "7": "0m:6 8:1.5 5m:.7 7/7:1",
    "7/7": "0m:8 8:1",
    "7m": "0m:3 8:2 5m:1 3:.5",
    "8": "5m:2 7:3 10:3 3:2 2h:1 7/7:1.5 0m:1",
    "10": "3:3 8:2 0m:3 7:.5 10:.5",
    "0/7": "5m:1",
    "1": "7:2 7/7:2 0m:1",
}
# Repeated progressions, which begin on the tonic or lead to it.
_LOOPS_MAJOR = (
    "0 7 9m 5", "0 9m 5 7", "0 5 7 5", "0 5 9m 7", "0 7 5 5", "0 10 5 0", "0 4m 5 7",
    "0 2m 7 0", "0 0 5 7", "0 5", "0 7", "0 2m", "0 9m 2m 7", "0 5 0 7", "0 4m 9m 5",
    "0 10 8 10", "0 8 10 0", "0 3 5 0", "0j 5j", "0 2 5 0", "0 6d 2m 7", "0 5m 0 7",
    "0 7 2m 5", "5 7 0 0", "2m7 7/7 0j 0j", "5 0 7 0", "0 0/7 5 5m",
    "0 7 9m 4m 5 0 5 7",
    "0j 9m7 2m7 7/7", "0 11m 9m 7", "0p 7p 5p 7p", "0 0 0 0 5 5 0 0 7 5 0 7",
    "0/7 0/7 0/7 0/7 5/7 5/7 0/7 0/7 7/7 5/7 0/7 7/7", "0/7 5/7", "0s 0",
)  # fmt: skip
_LOOPS_MINOR = (
    "0m 8 3 10", "0m 10 8 10", "0m 8 10 0m", "0m 10 8 7", "0m 5m 7 0m", "0m 5m",
    "0m 7m 8 10", "0m 3 10 8", "0m 8 5m 7", "0m 10 0m 10", "0m 0m 8 7", "0m 10",
    "0m 8", "0m 5m 10 3 8 2h 7 0m", "0m 7", "0m 3 8 7", "0m 8 5m 10", "0m 2h 7/7 0m",
    "0m 10 5 0m", "0m 5", "0m7 5/7", "0m 7m", "0m 1", "0p 3p 5p 7p", "0p 8p 10p 0p",
    "0p 1p 0p 10p", "0p 6p 5p 3p", "0m 0m 0m 0m 5m 5m 0m 0m 8 7 0m 7", "0m 0m 5m 7/7",
    "0m 8 1 7", "0m 11d 0m 7", "0m 4m 0m 8m", "0p", "0m", "0m 3+ 3 5", "8 10 0m 0m",
    "0m7 5m7", "0m7", "0m 7 10 5 8 3 5m 7",
)  # fmt: skip


_ROCK_MAJOR = (
    "0/7", "0/7 5/7", "0/7 0/7 5/7 5/7", "0 10 5 0", "0 3 5 0", "0 3 5 8", "0 10 5 5",
    "0 0 10 5", "0/7 3 5/7 0/7", "0 5 10 5", "0/7 10 0/7 5", "0 10", "0p 10p 5p 0p",
    "0/7 5/7 0/7 7/7", "0/7 2/7 5/7 0/7", "0 8 10 0", "0/7 0/7 0/7 0/7 10 5 0/7 0/7",
    "0/7 0/7 0/7 0/7 5/7 5/7 0/7 0/7 7/7 5/7 0/7 7/7", "0/7 9/7 2/7 7/7", "0 2 5 0",
    "0/7 5/7 0/7 0/7 5/7 5/7 0/7 0/7 7/7 5/7 0/7 0/7", "0/9 5/9", "0/7 1/7",
    "7/7 5/7 0/7",
)  # fmt: skip
_ROCK_MINOR = (
    "0m7", "0m7 5m7", "0m7 5/7", "0p 3p 5p 3p", "0p 10p 8p 10p", "0p 3p 10p 0p",
    "0m 3 5",
    "0p 6p 5p 3p", "0p 0p 3p 5p", "0p 1p", "0m 10 5 0m", "0m7 10", "0m 3 10 5", "0p",
    "0m7 0m7 0m7 0m7 5m7 5m7 0m7 0m7 8/7 7/7 0m7 7/7", "0m 8 7/7 0m", "0p 5p 3p 10p",
    "0m7 0m7 5m7 5m7 0m7 7m7 0m7 0m7", "0m 10 8 7", "0m 0m 10 10 8 8 7 7", "0m9 5/7",
)  # fmt: skip


@dataclass(frozen=True)
class Track:
    """The notes of one player on one MIDI channel."""

    program: int
    notes: list[Note]
    volume: int
    pan: int
    is_drums: bool = False


@dataclass(frozen=True)
class Composition:
    """A song: its players, tempo and tuning, and its keys by their first beats.

    A key is its tonic, 0 for C, plus 12 if it is minor.
    """

    bpm: float
    cents: float
    beats: int
    tracks: list[Track]
    keys: list[tuple[float, int]]


def chord_of(symbol: str) -> Chord:
    """Return the chord of a symbol as used above: `9m`, `2/7`, `0p`, `11d`."""
    for length in (2, 1):
        root, quality = symbol[:length], symbol[length:].lstrip("/")
        if root.isdigit() and int(root) < 12 and quality in _QUALITIES:
            steps = _QUALITIES[quality]
            return int(root), tuple(int(root) + step for step in steps)
    raise ValueError(
        f"A chord must be a root from 0 to 11 and a quality, as in 9m, got {symbol!r}."
    )


@dataclass(frozen=True)
class Section:
    """Bars in one key: a chord for each half bar, and a scale."""

    tonic: int
    is_minor: bool
    scale: tuple[int, ...]
    chords: list[Chord]  # One for every two beats.
    is_rock: bool = False


def _walk(draw: random.Random, table: dict[str, str], count: int) -> list[str]:
    first = next(iter(table))
    symbols = [first if draw.random() < 0.75 else draw.choice(list(table))]
    while len(symbols) < count:
        pairs = [pair.split(":") for pair in table[symbols[-1]].split()]
        weights = [float(weight) for _, weight in pairs]
        symbols.append(draw.choices([name for name, _ in pairs], weights)[0])
    if draw.random() < 0.7:
        dominant = draw.choice(["7", "7/7"])
        symbols[-2:] = [dominant, first] if draw.random() < 0.5 else [first, dominant]
    return symbols


def section(draw: random.Random, tonic: int, is_minor: bool, bars: int) -> Section:
    """Compose the harmony of `bars` bars in a key."""
    scale = MINOR if is_minor else MAJOR
    kind = draw.random()
    if kind < 0.42:
        table = _FUNCTIONAL_MINOR if is_minor else _FUNCTIONAL_MAJOR
        each = draw.choice([1, 2, 2, 2, 4])  # Half bars per chord.
        phrase = _walk(draw, table, max(2, min(2 * bars, 16) // each))
        halves = [symbol for symbol in phrase for _ in range(each)]
    elif kind < 0.85:
        loop = draw.choice(_LOOPS_MINOR if is_minor else _LOOPS_MAJOR).split()
        each = draw.choice([1, 2, 2, 4])
        halves = [symbol for symbol in loop for _ in range(each)]
        if is_minor and {"5", "5/7"} & set(loop):
            scale = DORIAN
        elif not is_minor and "10" in loop:
            scale = MIXOLYDIAN
        elif is_minor and {"1", "1p"} & set(loop) and draw.random() < 0.6:
            scale = PHRYGIAN
        elif not is_minor and "2" in loop:
            scale = LYDIAN
    else:  # Chords on the degrees of a mode, most often on the tonic.
        if is_minor:
            scale = draw.choices((MINOR, DORIAN, PHRYGIAN), (3, 2, 1))[0]
        else:
            scale = draw.choices((MAJOR, MIXOLYDIAN, LYDIAN), (3, 2, 1))[0]
        size = draw.choice([1, 2, 3, 3, 4])
        halves = []
        degrees = [0] + [draw.choice([0, 0, 1, 2, 3, 3, 4, 4, 5, 6]) for _ in range(7)]
        chords = [_on_scale(scale, degree, size) for degree in degrees]
        each = draw.choice([1, 2, 2, 4])
        spread = [chord for chord in chords for _ in range(each)]
        repeated = [spread[at % len(spread)] for at in range(2 * bars)]
        return Section(tonic, is_minor, scale, repeated)
    repeated = [chord_of(halves[at % len(halves)]) for at in range(2 * bars)]
    return Section(tonic, is_minor, scale, repeated)


def _rock(draw: random.Random, tonic: int, is_minor: bool, bars: int) -> Section:
    """Compose the harmony of blues, rock and riffs."""
    loop = draw.choice(_ROCK_MINOR if is_minor else _ROCK_MAJOR).split()
    each = draw.choice([1, 2, 2, 4])
    halves = [chord_of(symbol) for symbol in loop for _ in range(each)]
    if is_minor:
        scale = draw.choice((MINOR_BLUES, MINOR_BLUES, DORIAN, MINOR))
    else:
        scale = draw.choice((BLUES, BLUES, MIXOLYDIAN, MAJOR))
    repeated = [halves[at % len(halves)] for at in range(2 * bars)]
    return Section(tonic, is_minor, scale, repeated, is_rock=True)


def _on_scale(scale: Sequence[int], degree: int, size: int) -> Chord:
    steps = (degree + 2 * third for third in range(size))
    notes = tuple(scale[step % 7] + 12 * (step // 7) for step in steps)
    return notes[0], notes


def _fits(scale: Sequence[int], chord: Chord) -> list[int]:
    """Return the pitch classes above the tonic that fit a chord.

    A chord's note outside the scale replaces the scale notes a semitone from it.
    """
    own = {note % 12 for note in chord[1]}
    altered = {step for step in scale if step not in own}
    for note in own - set(scale):
        altered -= {(note + 1) % 12, (note - 1) % 12}
    return sorted(own | altered)


def melody(draw: random.Random, piece: Section, lowest: int) -> list[Note]:
    """Return a melody over the harmony: steps and leaps, with chord notes on beats."""
    notes: list[Note] = []
    rhythms = [
        [draw.choice([0.25, 0.5, 0.5, 1, 1, 1.5, 2]) for _ in range(12)]
        for _ in range(draw.choice([1, 2, 3]))
    ]
    pentatonic = draw.random() < 0.25
    chromatic = draw.choice([0, 0, 0.03, 0.1])
    rest = draw.choice([0.05, 0.15, 0.35])
    leap = draw.choice([2, 3, 5])
    at, pitch, total = 0.0, lowest + 7, 2.0 * len(piece.chords)
    rhythm, index = draw.choice(rhythms), 0
    while at < total:
        length = min(rhythm[index % 12], total - at)
        index += 1
        if at % 8 < length:
            rhythm, index = draw.choice(rhythms), 1
        chord = piece.chords[min(int(at / 2), len(piece.chords) - 1)]
        classes = _fits(piece.scale, chord)
        if at % 1 == 0 and draw.random() < 0.75:
            classes = [note % 12 for note in chord[1]]
        elif pentatonic:
            steps = (0, 3, 5, 7, 10) if piece.is_minor else (0, 2, 4, 7, 9)
            classes = list(steps)
        if at + length >= total or (at % 16 >= 14 and draw.random() < 0.4):
            classes = [chord[1][0] % 12]
        allowed = [
            note
            for note in range(lowest, lowest + 20)
            if (note - piece.tonic) % 12 in classes
        ]
        near = sorted(allowed, key=lambda note: abs(note - pitch + draw.gauss(0, leap)))
        pitch = near[0]
        if draw.random() > rest:
            strength = draw.randint(70, 115)
            if draw.random() < chromatic and length >= 0.5:
                notes.append(Note(at, length / 2, pitch - 1, strength))
                notes.append(Note(at + length / 2, length / 2, pitch, strength))
            else:
                notes.append(Note(at, length * 0.95, pitch, strength))
        at += length
    return notes


def bass(draw: random.Random, piece: Section, lowest: int) -> list[Note]:
    """Return a bass line of roots, fifths, octaves, arpeggios, a walk or a pedal."""
    styles = ["root", "fifth", "octave", "arpeggio", "walk"]
    styles += ["eighths", "pedal", "offbeat"]
    if piece.is_rock:
        styles += ["boogie"] * 4
    style = draw.choice(styles)
    notes = []
    for half, (root, chord) in enumerate(piece.chords):
        base = lowest + (piece.tonic + root - lowest) % 12
        at = 2.0 * half
        third = chord[1] - root if len(chord) > 2 else 12
        fifth = base + next((n - root for n in chord if n - root in (6, 7, 8)), 12)
        scale = [base + note - root for note in chord]
        if style == "root":
            steps = [(0.0, 1.9, base)]
        elif style == "fifth":
            steps = [(0, 0.9, base), (1, 0.9, fifth if half % 2 else fifth - 12)]
            if steps[1][2] < 24:
                steps[1] = (1, 0.9, fifth)
        elif style == "octave":
            steps = [(n / 2, 0.45, base + 12 * (n % 2)) for n in range(4)]
        elif style == "arpeggio":
            up = [base, base + third, fifth, base + third]
            steps = [(n / 2, 0.45, up[n]) for n in range(4)]
        elif style == "boogie":
            line = draw.choice(
                [(0, 4, 7, 9), (0, 0, 7, 9), (0, 3, 4, 7), (0, 7, 10, 7)]
            )
            if third == 3:
                line = draw.choice([(0, 3, 5, 7), (0, 0, 10, 12), (0, 7, 10, 12)])
            steps = [(n / 2, 0.45, base + line[n]) for n in range(4)]
        elif style == "walk":
            following = piece.chords[(half + 1) % len(piece.chords)][0]
            target = lowest + (piece.tonic + following - lowest) % 12
            passing = draw.choice([target - 1, target + 1, fifth, base + third])
            steps = [(0, 0.9, base), (1, 0.9, passing)]
        elif style == "eighths":
            steps = [(n / 2, 0.4, base) for n in range(4)]
        elif style == "pedal":
            pedal = lowest + (piece.tonic - lowest) % 12
            steps = [(0, 0.9, pedal), (1, 0.9, pedal if draw.random() < 0.5 else base)]
        else:
            steps = [(0.5, 0.4, base), (1.5, 0.4, draw.choice(scale))]
        if draw.random() < 0.08:
            steps[-1] = (*steps[-1][:2], steps[-1][2] + draw.choice([-1, 1, 2, -2]))
        notes += [
            Note(at + s, d, max(p, 24), draw.randint(80, 112)) for s, d, p in steps
        ]
    return notes


def chords(draw: random.Random, piece: Section, lowest: int) -> list[Note]:
    """Return an accompaniment of pads, stabs, broken chords or tremolos."""
    style = draw.choice(["pad", "stab", "broken", "sixteenths", "offbeat", "power"])
    notes = []
    for half, (root, chord) in enumerate(piece.chords):
        pitches = sorted(lowest + (piece.tonic + n - lowest) % 12 for n in chord)
        at, force = 2.0 * half, draw.randint(60, 95)
        if style == "power":
            base = lowest + (piece.tonic + root - lowest) % 12
            pitches = [base, base + (6 if (root + 6) in chord else 7)]
            hits = [n / 2 for n in range(4) if draw.random() < 0.8]
            notes += [Note(at + h, 0.45, p, force) for h in hits for p in pitches]
        elif style == "pad":
            notes += [Note(at, 1.98, p, force) for p in pitches]
        elif style == "stab":
            hits = draw.sample([0.0, 0.5, 1.0, 1.5], draw.choice([1, 2, 2, 3]))
            notes += [Note(at + h, 0.3, p, force) for h in hits for p in pitches]
        elif style == "offbeat":
            notes += [Note(at + h, 0.3, p, force) for h in (0.5, 1.5) for p in pitches]
        else:
            length = 0.25 if style == "sixteenths" else 0.5
            turn = [*pitches, *pitches[-2:0:-1]] or pitches
            notes += [
                Note(at + n * length, length, turn[n % len(turn)], force)
                for n in range(int(2 / length))
            ]
    return notes


def drums(draw: random.Random, beats: int) -> list[Note]:
    """Return a steady drum part with occasional toms and crashes."""
    grid = 4
    pattern = [(n, 36) for n in range(0, 16, draw.choice([4, 8]))]
    pattern += [(n, draw.choice([38, 40, 39])) for n in (4, 12)]
    pattern += [
        (n, draw.choice([42, 42, 46, 51])) for n in range(0, 16, draw.choice([1, 2, 4]))
    ]
    pattern += [
        (draw.randrange(16), draw.choice([36, 38, 45, 47, 50, 54, 56, 64]))
        for _ in range(4)
    ]
    notes = []
    for bar in range(beats // 4):
        for step, drum in pattern:
            notes.append(Note(4 * bar + step / grid, 0.2, drum, draw.randint(70, 120)))
        if bar % 4 == 3:
            for step in range(4):
                tom = draw.choice([41, 43, 45, 47, 48, 50, 38])
                notes.append(Note(4 * bar + 3 + step / 4, 0.2, tom, 110))
    return notes


_LEADS = (*range(0, 32), *range(40, 45), *range(52, 96), 104, 105, 108, 109, 110, 111)
_CHORDS = (*range(0, 32), *range(44, 56), 61, 62, 63, *range(80, 96), 106, 108, 114)
_BASSES = (*range(32, 40), *range(32, 40), 43, 57, 58, 70, 0, 87, 81)

_Player = Callable[[random.Random, Section, int], list[Note]]


def compose(seed: int) -> Composition:
    """Compose a song from a seed."""
    draw = random.Random(f"key-{seed}")
    tonic, is_minor = draw.randrange(12), draw.random() < 0.5
    compose_section = _rock if seed >= FIRST_ROCK else section
    first = compose_section(draw, tonic, is_minor, draw.choice([4, 8, 8]))
    parts = [first]
    other = compose_section(
        draw, *_contrast(draw, tonic, is_minor), draw.choice([4, 4, 8])
    )
    form = draw.choice(["A", "A", "AB", "AAB", "AABA", "ABA", "AC", "ACA"])
    same = compose_section(draw, tonic, is_minor, 4)
    parts = [{"A": first, "B": other, "C": same}[letter] for letter in form]
    bpm = draw.uniform(70, 180)
    wanted = draw.choice([15, 25, 35])
    while sum(2 * len(part.chords) for part in parts) * 60 / bpm < wanted:
        parts += [part for part in parts[:4]]
    tracks = _tracks(draw, parts)
    keys, at = [], 0.0
    for part in parts:
        keys.append((at, part.tonic + 12 * part.is_minor))
        at += 2 * len(part.chords)
    return Composition(bpm, draw.uniform(-50, 50), int(at), tracks, keys)


def _contrast(draw: random.Random, tonic: int, is_minor: bool) -> tuple[int, bool]:
    """Draw the key of a middle part: the same, the relative or a more distant one."""
    if draw.random() < 0.5:
        return tonic, is_minor
    return draw.choice(
        [
            ((tonic + (3 if is_minor else 9)) % 12, not is_minor),
            ((tonic + 7) % 12, is_minor),
            ((tonic + 5) % 12, is_minor),
            (tonic, not is_minor),
            ((tonic + draw.choice([1, 2, 3, 10])) % 12, is_minor),
        ]
    )


def _tracks(draw: random.Random, parts: Sequence[Section]) -> list[Track]:
    players: list[tuple[_Player, int, tuple[int, ...]]] = []
    if draw.random() < 0.88:
        players.append((bass, draw.choice([24, 28, 28, 31, 36]), _BASSES))
    for _ in range(draw.choice([0, 1, 1, 2, 2, 3])):
        players.append((chords, draw.choice([43, 48, 52, 55, 60, 65]), _CHORDS))
    for _ in range(
        draw.choice([1, 1, 1, 2]) if players and draw.random() < 0.85 else 0
    ):
        players.append((melody, draw.choice([52, 57, 60, 64, 67, 72, 76]), _LEADS))
    if not players:
        players.append((melody, 60, _LEADS))
    beats = sum(2 * len(part.chords) for part in parts)
    tracks = []
    for player, lowest, programs in players:
        notes, at, made = [], 0.0, {}
        for part in parts:
            # A repeated section is mostly played as before.
            if id(part) not in made or draw.random() < 0.2:
                made[id(part)] = player(draw, part, lowest)
            notes += [
                Note(at + n.start_beats, n.length_beats, n.pitch, n.velocity)
                for n in made[id(part)]
            ]
            at += 2 * len(part.chords)
        program, volume = draw.choice(programs), draw.randint(45, 120)
        tracks.append(Track(program, notes, volume, draw.randint(20, 108)))
        if player is melody and draw.random() < 0.15:  # Doubled in thirds or octaves.
            shift = draw.choice([12, -12])
            double = [
                Note(n.start_beats, n.length_beats, n.pitch + shift, n.velocity)
                for n in notes
            ]
            tracks.append(Track(draw.choice(programs), double, volume - 20, 64))
    if draw.random() < 0.7:
        loud = draw.randint(60, 125)
        tracks.append(Track(0, drums(draw, beats), loud, 64, is_drums=True))
    return tracks
