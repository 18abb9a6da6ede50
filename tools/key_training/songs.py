"""Songs for training, stored as their pitches and annotations."""

import json
import random
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from serve_app.analysis.chroma import Pitches, PitchListener
from serve_app.analysis.downmix import Downmix
from serve_app.analysis.key import PITCH_CLASSES
from tools.key_training import composing, remixing, rendering, synthesis
from tools.key_training.rendering import SAMPLE_RATE, Samples
from tools.music import field

# Songs from this seed on are synthesised, but only every third rock song. All others
# need soundfonts.
FIRST_SYNTHESISED = 2_000
NO_KEY = -1
_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_WORDS = "the quick brown fox jumps over a lazy dog while rain falls on our old town"


@dataclass(frozen=True)
class Heard:
    """A song: its pitches (seconds, 84), the key of each second or NO_KEY, and notes.

    `notes` (seconds, 12) is each pitch class's sounding time, zeros if unknown.
    """

    name: str
    strengths: NDArray[np.float32]
    keys: NDArray[np.int64]
    notes: NDArray[np.float32]
    in_tune: float

    def save(self, folder: Path) -> None:
        """Write the song as NAME.npz."""
        np.savez_compressed(
            folder / f"{self.name}.npz",
            strengths=self.strengths,
            keys=self.keys,
            notes=self.notes,
            in_tune=self.in_tune,
        )


def load(path: Path) -> Heard:
    """Load a saved song."""
    with np.load(path) as file:
        return Heard(path.stem, **{name: file[name] for name in file.files})


def composed(seed: int, soundfonts: Sequence[Path]) -> Heard:
    """Compose and render the song of a seed, and measure its pitches."""
    song = composing.compose(seed)
    is_rock = seed >= composing.FIRST_ROCK
    if seed % 3 == 0 if is_rock else seed >= FIRST_SYNTHESISED:
        samples = synthesis.play(song, seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            font = soundfonts[seed % len(soundfonts)]
            midi = rendering.midi(song)
            samples = rendering.play(midi, font, Path(folder), seed)
    pitches = hear(samples)
    seconds = min(len(pitches.strengths), int(np.ceil(song.beats * 60 / song.bpm)))
    shift = round(song.cents / 100 - pitches.tuning_semitones)
    keys = np.zeros(seconds, int)
    for beat, key in song.keys:
        keys[round(beat * 60 / song.bpm) :] = moved(key, shift)
    return Heard(
        f"composed_{seed:05d}",
        pitches.strengths[:seconds],
        keys,
        np.roll(_notes(song, seconds), shift, axis=1),
        pitches.in_tune,
    )


def piece(truth: Path) -> Heard | None:
    """Load a piece rendered by `tools.music`: NAME.json beside NAME.flac.

    Returns None for a piece without keys.
    """
    annotations: dict[str, Any] = json.loads(truth.read_text())
    if not annotations["keys"]:
        return None
    pitches = hear_file(truth.with_suffix(".flac"))
    cents = annotations["tuning_cents"]
    # Near half a semitone, the tuning may be measured towards the other semitone.
    shift = round(cents / 100 - pitches.tuning_semitones) if abs(cents) > 35 else 0
    keys = np.zeros(len(pitches.strengths), int)
    for span in annotations["keys"]:
        keys[round(span["start"]) :] = moved(key_of(span["key"]), shift)
    notes = np.zeros((len(keys), 12), np.float32)
    if annotations.get("pitch_classes"):
        known = np.array(annotations["pitch_classes"])[: len(keys)]
        notes[: len(known)] = known
    return Heard(truth.stem, pitches.strengths, keys, notes, pitches.in_tune)


def key_in(truth: Path) -> str | None:
    """Return the key of a rendered piece, or None."""
    key: str | None = json.loads(truth.read_text())["key"]
    return key


def remix(seed: int, soundfonts: Sequence[Path]) -> Heard:
    """Remix a file of `real`'s "learn" half by a seed, and measure its pitches."""
    files = {row.file: row for row in field.rows() if row.half == "learn"}
    row = files[sorted(files)[seed % len(files)]]
    song = remixing.remixed(field.open_real(row), seed)
    with tempfile.TemporaryDirectory() as folder:
        font = soundfonts[seed // len(files) % len(soundfonts)]
        pitches = hear(rendering.play(song, font, Path(folder), seed))
    played = field.read(song)
    notes = field.pitch_classes(played) if len(played.notes) else np.zeros((1, 12))
    seconds = min(len(pitches.strengths), len(notes))
    return Heard(
        f"remix_{seed:05d}",
        pitches.strengths[:seconds],
        field.keys_of(notes)[:seconds],
        notes[:seconds].astype(np.float32),
        pitches.in_tune,
    )


def unpitched(seed: int, soundfonts: Sequence[Path]) -> Heard:
    """Return drums, noise or speech, which have no key."""
    draw = random.Random(f"unpitched-{seed}")
    kind = draw.choice(["drums", "drums", "drums", "noise", "speech"])
    if kind == "drums":
        samples = _drums(draw, soundfonts[seed % len(soundfonts)], seed)
    elif kind == "speech":
        samples = _speech(draw)
    else:
        noise = np.random.default_rng(seed).standard_normal(15 * SAMPLE_RATE)
        bins = np.fft.rfft(noise)
        bins *= np.maximum(np.arange(len(bins)), 20) ** -draw.uniform(0, 1)
        samples = np.fft.irfft(bins)
    pitches = hear(samples)
    seconds = len(pitches.strengths)
    return Heard(
        f"unpitched_{seed:05d}",
        pitches.strengths,
        np.full(seconds, NO_KEY),
        np.zeros((seconds, 12), np.float32),
        pitches.in_tune,
    )


def hear_file(path: Path) -> Pitches:
    """Return the pitches of an audio file, downmixed as in the service."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    downmix = Downmix(rate)
    stereo = np.broadcast_to(samples.T, (2, len(samples)))
    return hear(np.concatenate([downmix.add(stereo), downmix.end()]))


def hear(samples: NDArray[Any]) -> Pitches:
    """Return the pitches of mono samples at 22,050 Hz."""
    listener = PitchListener()
    listener.add(np.asarray(samples, np.float32))
    return listener.result()


def moved(key: int, semitones: int) -> int:
    """Transpose a key; keys from 0 to 11 are major, from 12 to 23 minor."""
    return (key + semitones) % 12 + 12 * (key // 12)


def key_of(name: str) -> int:
    """Return the number of a key such as `Eb minor`."""
    tonic, mode = name.split()
    accidentals = tonic.count("#") - tonic[1:].count("b")
    return (_NAMES[tonic[0]] + accidentals) % 12 + 12 * (mode == "minor")


def name_of(key: int) -> str:
    """Return the name of a key's number, such as `D# minor`."""
    return f"{PITCH_CLASSES[key % 12]} {'minor' if key >= 12 else 'major'}"


def _notes(song: composing.Composition, seconds: int) -> NDArray[np.float32]:
    sounding = np.zeros((seconds, 12), np.float32)
    beat = 60 / song.bpm
    for track in song.tracks:
        for note in () if track.is_drums else track.notes:
            start = note.start_beats * beat
            # Held notes fade, so each counts for at most two seconds.
            end = start + min(note.length_beats * beat, 2.0)
            for second in range(int(start), min(int(np.ceil(end)), seconds)):
                share = min(end, second + 1) - max(start, second)
                sounding[second, note.pitch % 12] += share
    return sounding


def _drums(draw: random.Random, soundfont: Path, seed: int) -> Samples:
    kit = draw.choice([0, 0, 8, 16, 24, 25, 40])
    track = composing.Track(kit, composing.drums(draw, 40), 110, 64, is_drums=True)
    song = composing.Composition(
        draw.uniform(80, 170), draw.uniform(-50, 50), 40, [track], []
    )
    with tempfile.TemporaryDirectory() as folder:
        return rendering.play(rendering.midi(song), soundfont, Path(folder), seed)


def _speech(draw: random.Random) -> Samples:
    text = " ".join(draw.choice(_WORDS.split()) for _ in range(70))
    voice = draw.choice(["en", "de", "fr", "it"]) + draw.choice(["", "+f2", "+m3"])
    speed, pitch = draw.randint(120, 180), draw.randint(20, 80)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch)]
        subprocess.run([*command, "-w", file.name, text], check=True)
        samples, rate = soundfile.read(file.name, dtype="float32")
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)
