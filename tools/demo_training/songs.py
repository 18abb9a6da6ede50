"""Rendered songs on disk: one int16 array of stems per seed."""

import tempfile
from pathlib import Path

import numpy as np

from tools.demo_training import composing, rendering, singing
from tools.demo_training.notes import Song

SOURCES = ("drums", "bass", "other", "vocals")
SAMPLES = int(composing.SONG_SECONDS * rendering.SAMPLE_RATE)
FULL_SCALE = 32_767
# fmt: off
SOUNDFONTS = tuple(Path("/usr/share/sounds") / name for name in (
    "sf2/FluidR3_GM.sf2",
    "sf3/MuseScore_General_Full.sf3",
    "sf2/OPL-3_FM_128M.sf2",
))
# fmt: on
# Sampled instruments are nearer to music than the FM chip's.
SOUNDFONT_SHARES = (0.4, 0.4, 0.2)


def write(seed: int, folder: Path) -> Path:
    """Compose, render and store the song of a seed, unless it is there already."""
    target = folder / f"{seed:06d}.npy"
    if target.exists():
        return target
    rng = np.random.default_rng([seed, 1])
    stems = render(composing.compose(seed), rng)
    # One gain for all four: their balance is the song's.
    peak = max(np.abs(stems).max(), np.abs(stems.sum(0)).max(), 1e-6)
    scaled = np.round(stems * (0.95 * FULL_SCALE / peak)).astype(np.int16)
    unfinished = target.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, scaled)
    unfinished.rename(target)
    return target


def render(song: Song, rng: np.random.Generator) -> np.ndarray:
    """Render a song's stems, float32 (4, 2, samples), in the order of SOURCES."""
    font = SOUNDFONTS[rng.choice(len(SOUNDFONTS), p=SOUNDFONT_SHARES)]
    stems = np.zeros((len(SOURCES), 2, SAMPLES), np.float32)
    with tempfile.TemporaryDirectory() as name:
        for index, stem in enumerate(SOURCES[:3]):
            parts = [part for part in song.parts if part.stem == stem]
            file = rendering.midi(song, parts)
            played = rendering.play(file, font, Path(name))[:, :SAMPLES]
            stems[index, :, : played.shape[1]] = played
    sung = singing.sing(rng, song.sung, song.bpm, SAMPLES)
    level = _rms(stems.sum(0)) * rng.uniform(0.4, 1.2)
    stems[3] = sung * (level / (_rms(sung) + 1e-9))
    return stems


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))
