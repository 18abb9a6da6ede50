"""Compose random songs: notes in beats, by instrument, with a vocal line."""

from dataclasses import replace

import numpy as np

from tools.demo_training import drumming, figures, styles
from tools.demo_training.notes import Harmony, Note, Part, Sheet, Song

SONG_SECONDS = 30.0


def compose(seed: int) -> Song:
    """Return the song of a seed, always the same, with notes for all stems."""
    rng = np.random.default_rng(seed)
    style = styles.STYLES[rng.integers(len(styles.STYLES))]
    bpm = float(rng.uniform(*style.bpm))
    bars = int(np.ceil(SONG_SECONDS * bpm / 60 / style.beats_per_bar))
    sheet = Sheet(style, harmony(rng, bars), bars)
    bass = _bass(rng, sheet)
    others = _others(rng, sheet, bass)
    parts = [_loosened(rng, part) for part in (_drums(rng, sheet), bass, *others)]
    sung = _melody(rng, sheet, 55 + int(rng.integers(0, 12))) if _coin(rng, 0.5) else []
    return Song(bpm, tuple(parts), tuple(sung))


def harmony(rng: np.random.Generator, bars: int) -> Harmony:
    names = list(styles.SCALES)
    scale = styles.SCALES[names[rng.integers(len(names))]]
    progression = styles.PROGRESSIONS[rng.integers(len(styles.PROGRESSIONS))]
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
    kinds = sheet.style.bass if _coin(rng, 0.7) else figures.FIGURES
    kind = str(rng.choice(list(kinds)))
    # E1 is 28: most basses play on the low strings, some play high.
    lowest = int(rng.choice([24, 28, 28, 29, 31, 33, 36, 40, 45]))
    notes = figures.line(rng, sheet, kind, lowest)
    program = int(rng.choice(list(styles.BASS_PROGRAMS)))
    return Part("bass", program, notes, _volume(rng), _pan(rng, 8))


def _others(rng: np.random.Generator, sheet: Sheet, bass: Part) -> list[Part]:
    kinds = rng.choice(list(styles.FAMILIES), size=int(rng.integers(2, 7)))
    parts = [_other(rng, sheet, str(kind)) for kind in kinds]
    # Doubled lines, as in arrangements: a part, or the bass, with another sound.
    if _coin(rng, 0.4):
        source = parts[rng.integers(len(parts))]
        parts.append(
            _doubled(rng, source, styles.EVERYTHING, int(rng.choice([0, 0, 12])))
        )
    if _coin(rng, 0.2):
        parts.append(_doubled(rng, bass, styles.LOW, int(rng.choice([0, 12]))))
    return [_entering(rng, sheet, part) for part in parts]


def _entering(rng: np.random.Generator, sheet: Sheet, part: Part) -> Part:
    """Silence some parts for a while."""
    if _coin(rng, 0.6):
        return part
    first, last = np.sort(rng.uniform(0, sheet.beats, size=2))
    heard = tuple(note for note in part.notes if not first < note.start_beats < last)
    return replace(part, notes=heard)


def _loosened(rng: np.random.Generator, part: Part) -> Part:
    """Move notes off the grid by some hundredths of a beat, as if played by hand."""
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
    program = int(rng.choice(styles.FAMILIES[kind]))
    if kind == "melody":
        notes = tuple(_melody(rng, sheet, int(rng.integers(52, 80))))
    elif kind == "low":
        figure = str(rng.choice(list(figures.FIGURES)))
        notes = figures.line(rng, sheet, figure, int(rng.choice([28, 36, 40, 43])))
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
        for start, hold, _ in figures.read(rhythm):
            beat = bar * sheet.style.beats_per_bar + figures.feel(sheet.style, start)
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
    """Return a random bar of strokes: held for pads, steady for arpeggios."""
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
    """Return a random walk on the scale, in phrases of two bars that end in rests."""
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
            start = figures.feel(sheet.style, beat)
            notes.append(Note(start, length * 0.95, pitch, int(rng.integers(70, 120))))
        beat += length
    return notes
