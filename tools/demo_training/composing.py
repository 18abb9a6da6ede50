"""Songs made up at random: notes in beats, by instrument, with a sung line."""

from dataclasses import dataclass, replace

import numpy as np

from tools.demo_training import drumming
from tools.demo_training.notes import Harmony, Note, Part, Song, Style

SONG_SECONDS = 30.0
BASS_PROGRAMS = range(32, 40)

STYLES = (
    Style("pop", (90, 130), "straight", ("eighths", "roots", "syncopated")),
    Style("rock", (100, 180), "straight", ("eighths", "fifths", "riff")),
    Style("funk", (85, 120), "straight", ("syncopated", "octaves", "riff")),
    Style("swing", (100, 200), "swing", ("walking", "fifths", "riff")),
    Style("latin", (85, 140), "straight", ("tumbao", "fifths", "syncopated")),
    Style("electronic", (110, 150), "straight", ("octaves", "eighths", "riff")),
    Style("ballad", (60, 90), "straight", ("roots", "fifths", "arpeggio")),
    Style("blues", (80, 150), "swing", ("walking", "arpeggio", "riff")),
    Style("orchestral", (60, 130), "straight", ("roots", "pedal", "arpeggio")),
    Style("march", (100, 125), "straight", ("fifths", "roots", "walking")),
    Style("waltz", (90, 170), "straight", ("roots", "fifths", "walking"), 3),
    Style("country", (110, 200), "straight", ("fifths", "walking", "eighths")),
)

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (0, 3, 4, 3),
    (1, 4, 0, 0),
    (0, 6, 5, 4),
    (0, 0, 3, 0, 4, 3, 0, 4),
    (0, 2, 3, 4),
    (5, 3, 0, 4),
    (0, 0, 0, 0),
    (0, 0, 3, 3),
    (2, 5, 1, 4),
)

KEYS = (*range(0, 8), *range(16, 24))
GUITARS = tuple(range(24, 32))
STRINGS = (*range(40, 55),)
BRASS = tuple(range(56, 64))
REEDS = tuple(range(64, 80))
LEADS = tuple(range(80, 88))
PADS = tuple(range(88, 104))
MALLETS = (*range(8, 16), *range(104, 115))
EVERYTHING = (*range(0, 32), *range(40, 120))
# Instruments that play where a bass would: they must not be taken for one.
LOW = (0, 1, 2, 5, 7, 16, 19, 26, 27, 28, 30, 42, 43, 45, 47, 57, 58, 60, 66, 67, 70)
FAMILIES = {
    "comping": KEYS + GUITARS + MALLETS,
    "arpeggio": KEYS + GUITARS + MALLETS + LEADS + (45, 46),
    "pad": STRINGS + PADS + KEYS + BRASS,
    "melody": EVERYTHING,
    "riff": GUITARS + BRASS + REEDS + LEADS + KEYS,
    "stride": (*KEYS, *GUITARS, 46, 21),
    "low": LOW + LEADS + (*range(48, 52), 38 + 52),
}


@dataclass(frozen=True)
class Sheet:
    """What the parts of one song agree on."""

    style: Style
    harmony: Harmony
    bars: int

    @property
    def beats(self) -> int:
        """Return the length of the song in beats."""
        return self.bars * self.style.beats_per_bar


def compose(seed: int) -> Song:
    """Make up the song of a seed: always the same one, with all stems' notes."""
    rng = np.random.default_rng(seed)
    style = STYLES[rng.integers(len(STYLES))]
    bpm = float(rng.uniform(*style.bpm))
    bars = int(np.ceil(SONG_SECONDS * bpm / 60 / style.beats_per_bar))
    sheet = Sheet(style, _harmony(rng, bars), bars)
    bass = _bass(rng, sheet)
    others = _others(rng, sheet, bass)
    parts = [_loosened(rng, part) for part in (_drums(rng, sheet), bass, *others)]
    sung = _melody(rng, sheet, 55 + int(rng.integers(0, 12))) if _coin(rng, 0.5) else []
    return Song(bpm, tuple(parts), tuple(sung))


def _harmony(rng: np.random.Generator, bars: int) -> Harmony:
    names = list(SCALES)
    scale = SCALES[names[rng.integers(len(names))]]
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    bars_per_chord = int(rng.choice([1, 1, 1, 2]))
    degrees = [
        progression[bar // bars_per_chord % len(progression)] for bar in range(bars)
    ]
    size = int(rng.choice([3, 3, 4]))
    return Harmony(int(rng.integers(12)), scale, tuple(degrees), size)


def _coin(rng: np.random.Generator, chance: float) -> bool:
    return bool(rng.random() < chance)


def _drums(rng: np.random.Generator, sheet: Sheet) -> Part:
    notes = drumming.play(rng, sheet.style, sheet.bars)
    kit = int(rng.choice([0, 0, 0, 0, 8, 16, 24, 25, 32, 40, 48]))
    return Part("drums", kit, tuple(notes), _volume(rng), 64)


def _volume(rng: np.random.Generator) -> int:
    return int(rng.integers(60, 128))


def _pan(rng: np.random.Generator, spread: float) -> int:
    return int(np.clip(rng.normal(64, spread), 0, 127))


def _bass(rng: np.random.Generator, sheet: Sheet) -> Part:
    kinds = sheet.style.bass if _coin(rng, 0.7) else BASS_FIGURES
    kind = str(rng.choice(list(kinds)))
    # E1 is 28: most songs sit on the low strings, some play high up.
    lowest = int(rng.choice([24, 28, 28, 29, 31, 33, 36, 40, 45]))
    notes = _bass_line(rng, sheet, kind, lowest)
    program = int(rng.choice(list(BASS_PROGRAMS)))
    return Part("bass", program, notes, _volume(rng), _pan(rng, 8))


# A figure is a rhythm in quarters of a beat with steps of the chord: "r" its root,
# "5" its fifth, "8" the octave, "3" the third; "." holds, "-" rests.
BASS_FIGURES: dict[str, tuple[str, ...]] = {
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


def _bass_line(
    rng: np.random.Generator, sheet: Sheet, kind: str, lowest: int
) -> tuple[Note, ...]:
    figures = [_figure(rng, kind) for _ in range(2)]
    length = float(rng.choice([1.0, 0.95, 0.8, 0.5]))
    notes: list[Note] = []
    width = sheet.style.beats_per_bar * 4
    for bar in range(sheet.bars):
        figure = figures[int(bar % 4 == 3)][:width]
        for start, hold, step in _read(figure):
            degree = 0 if step == "R" else sheet.harmony.degrees[bar] + STEPS[step]
            pitch = sheet.harmony.near(degree, lowest, STEPS.get(step, 0))
            beat = bar * sheet.style.beats_per_bar + _feel(sheet.style, start)
            velocity = int(rng.integers(75, 115))
            notes.append(Note(beat, hold / 4 * length, pitch, velocity))
    return tuple(notes)


def _figure(rng: np.random.Generator, kind: str) -> str:
    if BASS_FIGURES[kind]:
        return str(rng.choice(list(BASS_FIGURES[kind])))
    symbols = [*"r.......", *"358-7.2.r."]
    weights = np.array([4, 1, 1, 1, 1, 1, 1, 1, 0.6, 0.8, 0.8, 1, 0.4, 1, 0.3, 1, 1, 1])
    drawn = rng.choice(symbols, size=15, p=weights / weights.sum())
    return "r" + "".join(drawn)


def _read(figure: str) -> list[tuple[float, int, str]]:
    """Return (start in beats, held quarters of a beat, step) of each stroke."""
    strokes = []
    for at, symbol in enumerate(figure):
        if symbol in ".-":
            continue
        hold = 1
        while at + hold < len(figure) and figure[at + hold] == ".":
            hold += 1
        strokes.append((at / 4, hold, symbol))
    return strokes


def _feel(style: Style, beat: float) -> float:
    """Move the off-beats of a swung style to the last third of the beat."""
    if style.feel == "straight":
        return beat
    whole, rest = divmod(beat, 1.0)
    return whole + {0.25: 1 / 3, 0.5: 2 / 3, 0.75: 5 / 6}.get(rest, rest)


def _others(rng: np.random.Generator, sheet: Sheet, bass: Part) -> list[Part]:
    kinds = rng.choice(list(FAMILIES), size=int(rng.integers(2, 7)))
    parts = [_other(rng, sheet, str(kind)) for kind in kinds]
    # Arrangers double lines: a part again with another sound, or the bass line.
    if _coin(rng, 0.4):
        source = parts[rng.integers(len(parts))]
        parts.append(_doubled(rng, source, EVERYTHING, int(rng.choice([0, 0, 12]))))
    if _coin(rng, 0.2):
        parts.append(_doubled(rng, bass, LOW, int(rng.choice([0, 12]))))
    return [_entering(rng, sheet, part) for part in parts]


def _entering(rng: np.random.Generator, sheet: Sheet, part: Part) -> Part:
    """Let some parts come in later or rest for a while."""
    if _coin(rng, 0.6):
        return part
    first, last = np.sort(rng.uniform(0, sheet.beats, size=2))
    heard = tuple(note for note in part.notes if not first < note.start_beats < last)
    return replace(part, notes=heard)


def _loosened(rng: np.random.Generator, part: Part) -> Part:
    """Play a part by hand: off the grid by some hundredths of a beat."""
    late = rng.normal(0, rng.choice([0.0, 0.01, 0.03]), size=len(part.notes))
    return replace(
        part,
        notes=tuple(
            replace(note, start_beats=max(0.0, note.start_beats + float(shift)))
            for note, shift in zip(part.notes, late, strict=True)
        ),
    )


def _doubled(
    rng: np.random.Generator, part: Part, programs: tuple[int, ...], shift: int
) -> Part:
    notes = tuple(replace(n, pitch=min(n.pitch + shift, 108)) for n in part.notes)
    program = int(rng.choice(programs))
    return Part("other", program, notes, _volume(rng), _pan(rng, 25))


def _other(rng: np.random.Generator, sheet: Sheet, kind: str) -> Part:
    program = int(rng.choice(FAMILIES[kind]))
    if kind == "melody":
        notes = tuple(_melody(rng, sheet, int(rng.integers(52, 80))))
    elif kind == "low":
        figure = str(rng.choice(list(BASS_FIGURES)))
        notes = _bass_line(rng, sheet, figure, int(rng.choice([28, 36, 40, 43])))
    else:
        notes = tuple(_chordal(rng, sheet, kind))
    return Part("other", program, notes, _volume(rng), _pan(rng, 25))


def _chordal(rng: np.random.Generator, sheet: Sheet, kind: str) -> list[Note]:
    lowest = int(rng.integers(45, 66))
    rhythm = _rhythm(rng, kind, sheet.style.beats_per_bar * 4)
    order = rng.integers(0, 4, size=16)
    staccato = float(rng.choice([1.0, 0.9, 0.5]))
    notes: list[Note] = []
    for bar in range(sheet.bars):
        chord = sheet.harmony.chord(bar, lowest)
        for start, hold, _ in _read(rhythm):
            beat = bar * sheet.style.beats_per_bar + _feel(sheet.style, start)
            at = int(start * 4)
            pitches = _voices(kind, chord, at, int(order[at % 16]))
            velocity = int(rng.integers(60, 110))
            length = hold / 4 * (1.0 if kind == "pad" else staccato)
            notes += [Note(beat, length, pitch, velocity) for pitch in pitches]
    return notes


def _voices(kind: str, chord: list[int], at: int, pick: int) -> list[int]:
    if kind == "arpeggio":
        return [[*chord, chord[0] + 12][pick % (len(chord) + 1)]]
    if kind == "riff":
        return [chord[pick % 3 and 2], chord[0]][: 1 + pick % 2]
    if kind == "stride":
        return [chord[0] - 12 - 12 * (pick % 2)] if at % 8 == 0 else chord
    return chord


def _rhythm(rng: np.random.Generator, kind: str, width: int) -> str:
    """Draw one bar of strokes: held ones for pads, steady ones for arpeggios."""
    if kind == "pad":
        return str(rng.choice(["r" + "." * 15, "r.......r......."]))[:width]
    if kind == "arpeggio":
        return str(rng.choice(["r." * 8, "r" * 16, "r..r..r." * 2]))[:width]
    if kind == "stride":
        return "r.-.r.-.r.-.r.-."[:width]
    density = rng.uniform(0.15, 0.6)
    strokes = rng.random(width) < density * np.tile([1.5, 0.4, 1.1, 0.4], width // 4)
    strokes[0] |= not strokes.any()
    hold = "." if _coin(rng, 0.6) else "-"
    return "".join("r" if stroke else hold for stroke in strokes)


def _melody(rng: np.random.Generator, sheet: Sheet, centre: int) -> list[Note]:
    """Walk over the scale in phrases of two bars with a rest after each."""
    notes: list[Note] = []
    degree = 0
    lengths = rng.choice([[0.5, 0.5, 1.0], [1.0, 1.0, 2.0], [0.25, 0.5, 1.0]])
    phrase = sheet.style.beats_per_bar * 2.0
    rest = float(rng.choice([0.0, 1.0, 2.0]))
    beat = 0.0
    while beat < sheet.beats:
        length = float(rng.choice(lengths))
        if beat % phrase < phrase - rest and _coin(rng, 0.9):
            degree = int(np.clip(degree + rng.integers(-2, 3), -6, 8))
            pitch = sheet.harmony.near(degree, centre, degree)
            start = _feel(sheet.style, beat)
            notes.append(Note(start, length * 0.95, pitch, int(rng.integers(70, 120))))
        beat += length
    return notes
