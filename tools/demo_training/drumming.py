"""Random drum patterns bar by bar, with accents, ghost notes and fills."""

import numpy as np

from tools.demo_training.notes import Note, Style

KICKS = (35, 36)
SNARES = (37, 38, 39, 40)
TIMEKEEPERS = (42, 42, 44, 46, 51, 59, 53, 69, 70, 82, 54)
TOMS = (50, 48, 47, 45, 43, 41)
CRASHES = (49, 57, 55, 52)
PERCUSSION = (54, 56, 58, *range(60, 82))

# Strokes by sixteenth: x accented, o plain, g ghosted.
BEATS: dict[str, tuple[tuple[str, str], ...]] = {
    "pop": (
        ("x.......x.......", "....x.......x..."),
        ("x.....x.x.......", "....x.......x..."),
    ),
    "rock": (
        ("x.....x.x.x.....", "....x.......x..."),
        ("x.x...x...x.....", "....x.......x.o."),
    ),
    "funk": (
        ("x..x..x...x..x..", "....x..g.g..x..g"),
        ("x.x....x..x.....", ".g..x..g.g.gx..."),
    ),
    "swing": (
        ("g...g...g...g...", "....o.....g.o..."),
        ("x.......o.......", "..g.....g....g.."),
    ),
    "latin": (
        ("x..ox..ox..ox..o", "...x..x....x.x.."),
        ("x...x...x...x...", "...x..x....x..x."),
    ),
    "electronic": (
        ("x...x...x...x...", "....x.......x..."),
        ("x...x...x...x..x", "....x..g....x..."),
    ),
    "ballad": (
        ("x.......x.......", "....x.......x..."),
        ("x.........x.....", "........x......."),
    ),
    "blues": (
        ("x.......x.o.....", "....x.......x..."),
        ("x...o...x...o...", "....x.......x..."),
    ),
    "orchestral": (
        ("x...............", "................"),
        ("x.......x.......", "............o.oo"),
    ),
    "march": (
        ("x.......x.......", "x.ooxoooxoooxooo"),
        ("x...x...x...x...", "o.ggo.ggo.ggo.g."),
    ),
    "waltz": (
        ("x...........", "....o...o..."),
        ("x.........o.", "....x...x..."),
    ),
    "country": (
        ("x.......x.......", "g.g.x.g.g.g.x.g."),
        ("x...x...x...x...", "..x...x...x...x."),
    ),
}
VELOCITIES = {"x": 112, "o": 90, "g": 45}
SWUNG = {1: 4 / 3, 2: 8 / 3, 3: 10 / 3}


def play(rng: np.random.Generator, style: Style, bars: int) -> list[Note]:
    """Return `bars` bars of drums: a beat with variations, fills and percussion."""
    width = style.beats_per_bar * 4
    voices = _voices(rng, style, width)
    fill_every = int(rng.choice([4, 8, 8, 16]))
    crash = int(rng.choice(CRASHES))
    notes: list[Note] = []
    for bar in range(bars):
        filled = bar % fill_every == fill_every - 1
        # A fill replaces the last one or two beats of its bar.
        end = width - 4 * int(rng.integers(1, 3)) if filled else width
        for key, strokes in voices:
            notes += _bar(rng, style, bar, key, strokes[:end])
        if filled:
            notes += _fill(rng, style, bar, end)
        elif bar % fill_every == 0 and rng.random() < 0.7:
            notes += _bar(rng, style, bar, crash, "x")
    return notes


def _voices(
    rng: np.random.Generator, style: Style, width: int
) -> list[tuple[int, str]]:
    kick, snare = BEATS[style.name][rng.integers(len(BEATS[style.name]))]
    voices = [
        (int(rng.choice(KICKS)), _varied(rng, kick, 0.06)),
        (int(rng.choice(SNARES)), _varied(rng, snare, 0.04)),
    ]
    if rng.random() < 0.9:
        period = rng.choice(["x.o.", "x.x.", "xgog", "x...", "..x.", "o..x"])
        strokes = _varied(rng, str(period) * (width // 4), 0.05)
        voices.append((int(rng.choice(TIMEKEEPERS)), strokes))
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        density = rng.uniform(0.1, 0.6)
        drawn = rng.random(width) < density
        strokes = "".join(str(rng.choice([*"xog"])) if hit else "." for hit in drawn)
        voices.append((int(rng.choice(PERCUSSION)), strokes))
    return voices


def _varied(rng: np.random.Generator, strokes: str, chance: float) -> str:
    return "".join(
        str(rng.choice([*"og."])) if rng.random() < chance else stroke
        for stroke in strokes
    )


def _bar(
    rng: np.random.Generator, style: Style, bar: int, key: int, strokes: str
) -> list[Note]:
    notes = []
    for at, stroke in enumerate(strokes):
        if stroke == ".":
            continue
        velocity = VELOCITIES[stroke] + int(rng.integers(-12, 13))
        start = bar * style.beats_per_bar + _quarter(style, at) / 4
        notes.append(Note(start, 0.2, key, int(np.clip(velocity, 20, 127))))
    return notes


def _quarter(style: Style, at: int) -> float:
    """Return the position of a sixteenth in quarters of a beat, swung or straight."""
    if style.feel == "straight":
        return float(at)
    return at - at % 4 + SWUNG.get(at % 4, 0.0)


def _fill(rng: np.random.Generator, style: Style, bar: int, start: int) -> list[Note]:
    width = style.beats_per_bar * 4
    notes: list[Note] = []
    for at in range(start, width):
        if rng.random() < 0.8:
            drum = TOMS[min(len(TOMS) - 1, (at - start) * len(TOMS) // 8)]
            key = int(rng.choice([drum, 38]))
            notes += _bar(rng, style, bar, key, "." * at + "x")
    return notes
