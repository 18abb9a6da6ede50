"""Bass lines: rhythms, with a step of the chord for each stroke."""

import numpy as np

from tools.demo_training.notes import Note, Sheet, Style

# A figure is a rhythm in quarters of a beat with steps of the chord: "r" its root,
# "5" its fifth, "8" the octave, "3" the third; "." holds, "-" rests.
FIGURES: dict[str, tuple[str, ...]] = {
    "roots": ("r" + "." * 15, "r.......5.......", "r.......r......."),
    "eighths": ("r.r.r.r.r.r.r.r.", "r.r.r.r.r.r.5.8.", "r-r-r-r-r-r-r-r-"),
    "fifths": ("r-------5-------", "r...----5...----", "r.......5...r..."),
    "octaves": ("r.8.r.8.r.8.r.8.", "r.r8r.r8r.r8r.r8", "--r.--r.--r.--r8"),
    "syncopated": ("r..r..r...r...8.", "r-8-r--r--r-5-8-", "r..5..8.....r.r."),
    "tumbao": ("r.....5.....8...", "------5.....r...", "r..r....5..5...."),
    "arpeggio": ("r...3...5...3...", "r.3.5.8.5.3.r.5.", "r...5...8...5..."),
    "walking": ("r...3...5...6...", "r...2...3...5...", "r...8...5...3..."),
    "pedal": ("R...R...R...R...", "R" + "." * 15, "R.R.R.R.R.R.R.R."),
    "riff": (),
}
STEPS = {"r": 0, "2": 1, "3": 2, "5": 4, "6": 5, "8": 7, "7": 6}


def line(
    rng: np.random.Generator, sheet: Sheet, kind: str, lowest: int
) -> tuple[Note, ...]:
    """Return a bass line of a kind over the song's chords, from `lowest` up."""
    figures = [_figure(rng, kind) for _ in range(2)]
    length = float(rng.choice([1.0, 0.95, 0.8, 0.5]))
    notes: list[Note] = []
    width = sheet.style.beats_per_bar * 4
    for bar in range(sheet.bars):
        figure = figures[int(bar % 4 == 3)][:width]
        for start, hold, step in read(figure):
            degree = 0 if step == "R" else sheet.harmony.degrees[bar] + STEPS[step]
            pitch = sheet.harmony.near(degree, lowest, STEPS.get(step, 0))
            beat = bar * sheet.style.beats_per_bar + feel(sheet.style, start)
            velocity = int(rng.integers(75, 115))
            notes.append(Note(beat, hold / 4 * length, pitch, velocity))
    return tuple(notes)


def _figure(rng: np.random.Generator, kind: str) -> str:
    if FIGURES[kind]:
        return str(rng.choice(list(FIGURES[kind])))
    symbols = [*"r.......", *"358-7.2.r."]
    weights = np.array([4, 1, 1, 1, 1, 1, 1, 1, 0.6, 0.8, 0.8, 1, 0.4, 1, 0.3, 1, 1, 1])
    drawn = rng.choice(symbols, size=15, p=weights / weights.sum())
    return "r" + "".join(drawn)


def read(figure: str) -> list[tuple[float, int, str]]:
    """Return (start in beats, length in quarters of a beat, step) of each stroke."""
    strokes = []
    for at, symbol in enumerate(figure):
        if symbol in ".-":
            continue
        hold = 1
        while at + hold < len(figure) and figure[at + hold] == ".":
            hold += 1
        strokes.append((at / 4, hold, symbol))
    return strokes


def feel(style: Style, beat: float) -> float:
    """Move the off-beats of a swung style to the last third of the beat."""
    if style.feel == "straight":
        return beat
    whole, rest = divmod(beat, 1.0)
    return whole + {0.25: 1 / 3, 0.5: 2 / 3, 0.75: 5 / 6}.get(rest, rest)
