"""Held-out clips: other people's MIDI, with a soundfont not used in training."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np

from tools.demo_training import midi, rendering

MUSIC = Path("/usr/share/games/openttd/baseset/openmsx")
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
PACKAGES = {
    MUSIC: "openttd-openmsx",
    SOUNDFONT: "timgm6mb-soundfont",
    Path("/usr/bin/fluidsynth"): "fluidsynth",
}
STEMS = ("drums", "bass", "other")
CLIPS = 20
CLIP_SECONDS = 20
# A stem under this level relative to the mix counts as silent: the next clip is tried.
AUDIBLE_DB = -35.0


@dataclass(frozen=True)
class Clip:
    """A clip's stems (4, 2, samples), in the order of SOURCES; vocals are 0."""

    name: str
    stems: np.ndarray

    @property
    def mix(self) -> np.ndarray:
        """Return the sum of the stems, (2, samples)."""
        return np.asarray(self.stems.sum(0))


def clips(cache: Path) -> list[Clip]:
    """Return the clips; render those that are missing in the cache."""
    for path, package in PACKAGES.items():
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: apt-get install {package}")
    cache.mkdir(parents=True, exist_ok=True)
    found: list[Clip] = []
    for song in sorted(MUSIC.glob("*.mid")):
        stored = cache / f"{song.stem}.npy"
        if not stored.exists():
            np.save(stored, _audible_clip(_song(song)))
        stems = np.load(stored)
        if stems.size and len(found) < CLIPS:
            found.append(Clip(song.stem, stems))
    return found


def _song(path: Path) -> np.ndarray:
    """Render a file's stems one by one: float32 (4, 2, samples)."""
    with tempfile.TemporaryDirectory() as folder:
        waves = [
            rendering.play(
                midi.only(mido.MidiFile(path), stem), SOUNDFONT, Path(folder)
            )
            for stem in STEMS
        ]
    stems = np.zeros((4, 2, max(wave.shape[1] for wave in waves)), np.float32)
    for stem, wave in zip(stems, waves, strict=False):
        stem[:, : wave.shape[1]] = wave
    return stems


def _audible_clip(stems: np.ndarray) -> np.ndarray:
    """Return the first clip in which all stems are audible, or an empty array."""
    length = CLIP_SECONDS * rendering.SAMPLE_RATE
    step = rendering.SAMPLE_RATE * 5
    for start in range(2 * step, stems.shape[-1] - length + 1, step):
        clip = stems[..., start : start + length]
        levels = 10 * np.log10((clip**2).mean((1, 2)) + 1e-12)
        mix = 10 * np.log10((clip.sum(0) ** 2).mean() + 1e-12)
        if (levels[: len(STEMS)] > mix + AUDIBLE_DB).all():
            return np.asarray(clip)
    return np.zeros(0, np.float32)
