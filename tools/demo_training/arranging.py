"""Songs arranged by MMA: random chords, played in the styles of its library."""

import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np

from tools.demo_training import composing
from tools.demo_training.notes import Harmony

LIBRARY = Path("/usr/share/mma/lib")
ROOTS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# Semitones of third, fifth and seventh over the root, by MMA's name for the chord.
TRIADS = {(4, 7): "", (3, 7): "m", (3, 6): "mb5", (4, 8): "aug"}
SEVENTHS = {(4, 7, 10): "7", (4, 7, 11): "M7", (3, 7, 10): "m7", (3, 6, 10): "m7b5"}
BARS_PER_GROOVE = 4


def arrange(rng: np.random.Generator, seconds: float) -> mido.MidiFile:
    """Return `seconds` of random chords, played by MMA in the styles of one file."""
    if not LIBRARY.exists():
        raise FileNotFoundError(f"{LIBRARY} is missing: apt-get install mma")
    files = [file for file in sorted(LIBRARY.glob("*/*.mma")) if _grooves(file)]
    grooves = _grooves(files[rng.integers(len(files))])
    bpm = int(rng.integers(70, 180))
    # The shortest bars have two beats.
    bars = int(np.ceil(seconds * bpm / 60 / 2))
    return _played(_score(rng, grooves, bpm, composing.harmony(rng, bars)))


def _grooves(file: Path) -> list[str]:
    lines = (line.split() for line in file.read_text(errors="replace").splitlines())
    where = f"{file.parent.name}/{file.stem}"
    named = [words[1] for words in lines if words[:1] == ["DefGroove"]]
    return [f"{where}:{name}" for name in named if name != "None"]


def _score(
    rng: np.random.Generator, grooves: list[str], bpm: int, harmony: Harmony
) -> str:
    # MMA is random too: the seed makes a song reproducible.
    lines = ["RndSeed 1", f"Tempo {bpm}"]
    for bar in range(len(harmony.degrees)):
        if bar % BARS_PER_GROOVE == 0:
            lines.append(f"Groove {grooves[rng.integers(len(grooves))]}")
        lines.append(f"{bar + 1} {_chord(harmony, harmony.degrees[bar])}")
    return "\n".join(lines) + "\n"


def _chord(harmony: Harmony, degree: int) -> str:
    pitches = [harmony.pitch(degree + step) for step in (0, 2, 4, 6)]
    over = tuple(pitch - pitches[0] for pitch in pitches[1:])
    quality = TRIADS.get(over[:2], "")
    if harmony.chord_size > len(pitches) - 1:
        quality = SEVENTHS.get(over, quality)
    return ROOTS[pitches[0] % 12] + quality


def _played(score: str) -> mido.MidiFile:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "song.mma", Path(folder) / "song.mid"
        source.write_text(score)
        run = subprocess.run(
            ["mma", "-w", "-xNOCREDIT", "-f", str(target), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0 or not target.exists():
            raise RuntimeError(f"mma failed: {run.stdout.strip()}\n{score}")
        return mido.MidiFile(target)
