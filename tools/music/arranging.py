"""Pieces arranged by MMA from generated chord progressions, with added melodies."""

import os
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import mido
import numpy as np

from tools.music import composing, figures, harmony
from tools.music.figures import Ground, Tune
from tools.music.grooves import GrooveStyle
from tools.music.styles import BRASS, CHIPS, GUITARS, MALLETS, PIPES, REEDS, STRINGS
from tools.music.values import DRUM_CHANNEL, Bar, Composition, Key, Note, Track

_TICKS_PER_BEAT = 192
_BASSES = range(32, 40)
_LEADS = (*BRASS, *CHIPS, *GUITARS, *MALLETS, *PIPES, *REEDS, *STRINGS, 0, 21, 22, 53)


def arrange(
    rng: np.random.Generator,
    style: GrooveStyle,
    bpm: float,
    seconds: float,
    key: Key,
    moves: bool,
) -> Composition:
    """Arrange a piece of about `seconds`; if it `moves`, it modulates.

    Raises RuntimeError if MMA fails.
    """
    per_bar = style.beats // style.unit
    count = max(round(seconds * bpm / 60 / per_bar), 8)
    sections = composing.form(rng, count, key, moves)
    per_chord = 2 if per_bar == 2 else 1
    bars = tuple(harmony.bars(rng, sections, per_bar, style.sevenths, per_chord))
    text = _program(rng, style, bars, bpm)
    tracks = _tracks(_arranged(text), style.unit)
    if rng.random() < 0.12:
        tracks = [track for track in tracks if track.stem != "drums"] or tracks
    ground = Ground(bars, per_bar, style.division)
    tracks += _leads(rng, style, ground)
    return Composition(tuple(tracks), bars, per_bar)


def _program(
    rng: np.random.Generator, style: GrooveStyle, bars: tuple[Bar, ...], bpm: float
) -> str:
    """Return a piece in MMA's language: a groove per section, chords per bar."""
    lines = [f"RndSeed {int(rng.integers(1, 10**6))}", f"Tempo {bpm * style.unit:.3f}"]
    library = style.file
    current = ""
    mains: dict[str, str] = {}
    for index, bar in enumerate(bars):
        letter = bar.section[0].upper()
        if letter not in mains:
            mains[letter] = str(rng.choice(style.grooves))
        wanted = mains[letter]
        is_end = index + 1 == len(bars)
        is_turn = not is_end and bars[index + 1].section != bar.section
        if index < 4 and style.intro and bar.section[0] == "i":
            wanted = style.intro
        elif is_end and style.end:
            wanted = style.end
        elif is_turn and style.fill and rng.random() < 0.8:
            wanted = style.fill
        if wanted != current:
            lines.append(f"Groove {library}:{wanted}")
            current = wanted
        lines.append(f"{index + 1} {_chords(style, bar)}")
    return "\n".join(lines) + "\n"


def _chords(style: GrooveStyle, bar: Bar) -> str:
    """Return a bar's chords: a name or a slash for each of MMA's beats."""
    names = ["/"] * style.beats
    for begin, chord in bar.chords:
        names[int(begin) * style.unit] = harmony.mma_name(chord)
    return " ".join(names)


def _arranged(text: str) -> mido.MidiFile:
    with tempfile.TemporaryDirectory() as place:
        source, made = Path(place) / "piece.mma", Path(place) / "piece.mid"
        source.write_text(text)
        run = subprocess.run(
            ["mma", str(source), "-f", str(made)],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
            env={**os.environ, "PYTHONHASHSEED": "0", "HOME": place},
        )
        if run.returncode != 0 or not made.exists():
            raise RuntimeError(f"MMA failed: {run.stdout[-500:]}{run.stderr[-500:]}")
        return mido.MidiFile(made)


def _tracks(file: mido.MidiFile, unit: int) -> list[Track]:
    """Read MMA's tracks, with times in beats at the felt tempo."""
    scale = _TICKS_PER_BEAT * unit
    if file.ticks_per_beat != _TICKS_PER_BEAT:
        raise RuntimeError(
            f"MMA must write {_TICKS_PER_BEAT} ticks a beat, got {file.ticks_per_beat}."
        )
    found: list[Track] = []
    for track in file.tracks:
        read = _track(track, scale)
        if read is not None:
            found.append(read)
    return found


def _track(track: mido.MidiTrack, scale: float) -> Track | None:
    tick, channel, program = 0, 0, 0
    open_notes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    notes: list[Note] = []
    changes: list[tuple[float, mido.Message]] = []
    for message in track:
        tick += message.time
        if message.is_meta or message.type == "sysex":
            continue
        channel = message.channel
        if message.type == "note_on" and message.velocity > 0:
            open_notes[message.note].append((tick, message.velocity))
        elif message.type in ("note_off", "note_on"):
            if open_notes[message.note]:
                begin, velocity = open_notes[message.note].pop(0)
                length = max(tick - begin, 1) / scale
                notes.append(Note(begin / scale, length, message.note, velocity))
        else:
            if message.type == "program_change":
                program = message.program
            changes.append((tick / scale, message.copy(time=0)))
    if not notes:
        return None
    stem = "other"
    if channel == DRUM_CHANNEL:
        stem = "drums"
    elif program in _BASSES:
        stem = "bass"
    ordered = tuple(sorted(notes, key=lambda note: (note.beat, note.pitch)))
    return Track(stem, program, ordered, 100, 64, tuple(changes))


def _leads(rng: np.random.Generator, style: GrooveStyle, ground: Ground) -> list[Track]:
    if rng.random() > 0.8:
        return []
    rhythm = str(rng.choice(["plain", "busy", "syncopated", "calm"]))
    lowest = int(rng.choice([57, 60, 64, 67]))
    rest = float(rng.choice([0.0, 0.1, 0.2]))
    chromatic = float(rng.choice([0.0, 0.0, 0.2]))
    tune = Tune(rhythm, lowest, 0.3, rest, chromatic)
    notes = figures.melody(rng, ground, tune)
    program = int(rng.choice(_LEADS))
    stem = "vocals" if program == 53 else "other"
    volume = int(rng.integers(84, 118))
    pan = int(rng.integers(44, 84))
    tracks = [Track(stem, program, tuple(notes), volume, pan)]
    if rng.random() < 0.3:
        under = figures.doubled_thirds(notes, ground)
        other = int(rng.choice(_LEADS))
        stem = "vocals" if other == 53 else "other"
        tracks.append(Track(stem, other, tuple(under), volume - 20, 128 - pan))
    return tracks
