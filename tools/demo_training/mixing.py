"""Training examples: crops of rendered stems, altered, remixed and summed."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset

from tools.demo_training.rendering import SAMPLE_RATE
from tools.demo_training.songs import FULL_SCALE, SOURCES

# The chance that a stem is silent, in the order of SOURCES. Most music of this kind has
# no voice, and the model must separate none then.
ABSENCE = (0.06, 0.10, 0.04, 0.45)
# Lowest and highest loudness of remixed stems in dB: either the accompaniment or the
# bass may dominate.
LOUDNESS = ((-16.0, 2.0), (-14.0, 6.0), (-5.0, 2.0), (-12.0, 2.0))
GAIN_DB = 4.0
EQUALISER_DB = 4.0
EQUALISER_HZ = (20.0, 120.0, 500.0, 2_000.0, 6_000.0, 22_050.0)
OFFSET_DB = (-25.0, -6.0)
OFFSET_SAMPLES = 2_048
QUIET = 1e-4
BASS = SOURCES.index("bass")


@dataclass(frozen=True)
class Recipe:
    """The folder of songs, the crop's length and the chance of a remix."""

    folder: Path
    samples: int
    remix_chance: float = 0.5


class Examples(IterableDataset[torch.Tensor]):
    """An endless stream of stems (4, 2, samples), float32; their sum is the mix.

    The folder is listed for every example, so that newly rendered songs are used.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._recipe = recipe
        self._seed = seed

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Yield examples, determined by the seed and the folder."""
        for number in itertools.count():
            rng = np.random.default_rng([self._seed, number])
            yield torch.from_numpy(example(rng, self._recipe))


def example(rng: np.random.Generator, recipe: Recipe) -> np.ndarray:
    """Draw one example (4, 2, samples), scaled to a mix of deviation 1."""
    songs = sorted(recipe.folder.glob("*.npy"))
    if not songs:
        raise FileNotFoundError(f"no songs in {recipe.folder}: run `render` first")
    if rng.random() < recipe.remix_chance:
        stems = _remixed(rng, songs, recipe.samples)
    else:
        stems = _crop(rng, songs[rng.integers(len(songs))], recipe.samples)
        stems *= _factor(rng.normal(0, GAIN_DB, size=(len(SOURCES), 1, 1)))
    for index, absence in enumerate(ABSENCE):
        if rng.random() < absence:
            stems[index] = 0
    altered = np.stack([_altered(rng, stem) for stem in stems])
    deviation = float(altered.sum(0).mean(0).std())
    return (altered / max(deviation, QUIET)).astype(np.float32)


def _factor(decibels: np.ndarray) -> np.ndarray:
    return np.asarray(10 ** (np.clip(decibels, -10, 10) / 20))


def _crop(rng: np.random.Generator, song: Path, samples: int) -> np.ndarray:
    stems = np.load(song, mmap_mode="r")
    start = int(rng.integers(0, stems.shape[-1] - samples))
    return np.asarray(stems[..., start : start + samples], np.float32) / FULL_SCALE


def _remixed(rng: np.random.Generator, songs: list[Path], samples: int) -> np.ndarray:
    """Take each stem from another song, each at a random loudness."""
    stems = np.zeros((len(SOURCES), 2, samples), np.float32)
    for index, (lowest, highest) in enumerate(LOUDNESS):
        stem = _stem(rng, songs, samples, index)
        level = float(np.sqrt(np.mean(stem**2)))
        if level > QUIET:
            loudness = 10 ** (rng.uniform(lowest, highest) / 20)
            stems[index] = stem * (0.1 * loudness / level)
    return stems


def _stem(
    rng: np.random.Generator, songs: list[Path], samples: int, index: int
) -> np.ndarray:
    """Crop one stem; basses are sometimes transposed, or two are added."""
    stem = _crop(rng, songs[rng.integers(len(songs))], samples)[index]
    if index != BASS:
        return stem
    if rng.random() < 0.3:
        stem = stem + _crop(rng, songs[rng.integers(len(songs))], samples)[index]
    if rng.random() < 0.4:
        # A higher bass needs more samples than the crop: a mirrored copy has them.
        at = np.arange(samples) * 2 ** rng.uniform(-0.4, 1.0)
        longer = np.concatenate([stem, stem[:, ::-1]], axis=1)
        places = np.arange(2 * samples)
        stem = np.stack([np.interp(at, places, channel) for channel in longer])
    return stem


def _altered(rng: np.random.Generator, stem: np.ndarray) -> np.ndarray:
    """Mirror, widen, invert, equalise and echo a stem (2, samples) at random."""
    if not stem.any():
        return stem
    if rng.random() < 0.5:
        stem = stem[::-1]
    if rng.random() < 0.5:
        middle = stem.mean(0, keepdims=True)
        stem = middle + rng.uniform(0.0, 1.5) * (stem - middle)
    if rng.random() < 0.3:
        stem = stem * _factor(rng.normal(0, 2, size=(2, 1)))
    stem = stem * rng.choice([-1.0, 1.0])
    if rng.random() < 0.5:
        stem = _filtered(rng, stem)
    return _offset(rng, stem) if rng.random() < 0.25 else stem


def _filtered(rng: np.random.Generator, stem: np.ndarray) -> np.ndarray:
    samples = stem.shape[-1]
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    knots = rng.normal(0, EQUALISER_DB, size=len(EQUALISER_HZ))
    decibels = np.interp(np.log(hertz + 20), np.log(EQUALISER_HZ), knots)
    response = 10 ** (decibels / 20) + 0j
    if rng.random() < 0.25:
        response = response * np.fft.rfft(_room(rng, samples))
    return np.asarray(np.fft.irfft(np.fft.rfft(stem) * response, samples))


def _offset(rng: np.random.Generator, stem: np.ndarray) -> np.ndarray:
    """Add a bias that follows the loudness, as instrument samples with an offset do."""
    sums = np.cumsum(np.abs(stem).mean(0), dtype=float)
    followed = sums.copy()
    followed[OFFSET_SAMPLES:] -= sums[:-OFFSET_SAMPLES]
    level = 10 ** (rng.uniform(*OFFSET_DB) / 20) * rng.choice([-1.0, 1.0])
    ratio = np.sqrt(np.mean(stem**2) / (np.mean(followed**2) + QUIET**2))
    return np.asarray(stem + level * ratio * followed)


def _room(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a short reverberation: a unit impulse, then decaying noise."""
    decay = rng.uniform(0.05, 0.4) * SAMPLE_RATE
    tail = rng.standard_normal(samples) * np.exp(-np.arange(samples) / decay)
    tail *= rng.uniform(0.1, 0.5) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    return np.asarray(tail)
