"""Rendered songs on disk: one int16 array of stems per kind and seed."""

import tempfile
from pathlib import Path
from typing import Literal, get_args

import mido
import numpy as np

from tools.demo_training import (
    arranging,
    borrowing,
    composing,
    midi,
    rendering,
    singing,
    varying,
)
from tools.demo_training.notes import Song

Kind = Literal["composed", "arranged", "borrowed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SOURCES = ("drums", "bass", "other", "vocals")
SAMPLES = int(composing.SONG_SECONDS * rendering.SAMPLE_RATE)
FULL_SCALE = 32_767
# fmt: off
SOUNDFONTS = tuple(Path("/usr/share/sounds") / name for name in (
    "sf2/FluidR3_GM.sf2",
    "sf3/MuseScore_General_Full.sf3",
    "sf2/sf_GMbank.sf2",
    "sf2/OPL-3_FM_128M.sf2",
))
# fmt: on
# Sampled instruments are closer to real music than the FM chip's (OPL-3).
SOUNDFONT_SHARES = (0.3, 0.3, 0.3, 0.1)


def write(kind: Kind, seed: int, folder: Path) -> Path:
    """Render and store the song of a seed unless its file exists."""
    target = folder / f"{kind}-{seed:06d}.npy"
    if target.exists():
        return target
    stems = render(kind, seed)
    # One gain for all four stems keeps their balance.
    peak = max(np.abs(stems).max(), np.abs(stems.sum(0)).max(), 1e-6)
    scaled = np.round(stems * (0.95 * FULL_SCALE / peak)).astype(np.int16)
    unfinished = target.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, scaled)
    unfinished.rename(target)
    return target


def render(kind: Kind, seed: int) -> np.ndarray:
    """Render a song's stems, float32 (4, 2, samples), in the order of SOURCES."""
    song = composing.compose(seed)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    file = _with_all_stems(kind, song, rng)
    font = SOUNDFONTS[rng.choice(len(SOUNDFONTS), p=SOUNDFONT_SHARES)]
    stems = np.zeros((len(SOURCES), 2, SAMPLES), np.float32)
    with tempfile.TemporaryDirectory() as name:
        for index, stem in enumerate(SOURCES[:3]):
            played = rendering.play(midi.only(file, stem), font, Path(name))
            played = played[:, :SAMPLES]
            stems[index, :, : played.shape[1]] = played
    # The vocal line is a composed one's, so its key may differ from other kinds' songs.
    sung = singing.sing(rng, song.sung, song.bpm, SAMPLES)
    level = _rms(stems.sum(0)) * rng.uniform(0.4, 1.2)
    stems[3] = sung * (level / (_rms(sung) + 1e-9))
    return stems


def _with_all_stems(kind: Kind, song: Song, rng: np.random.Generator) -> mido.MidiFile:
    """Draw pieces until one has notes in every stem."""
    while True:
        written = _written(kind, song, rng)
        file = varying.vary(rng, written, composing.SONG_SECONDS)
        if all(midi.notes(file, stem) for stem in SOURCES[:3]):
            return file


def _written(kind: Kind, song: Song, rng: np.random.Generator) -> mido.MidiFile:
    if kind == "composed":
        return rendering.midi(song, song.parts)
    if kind == "arranged":
        return arranging.arrange(rng, composing.SONG_SECONDS)
    return borrowing.borrow(rng)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))
