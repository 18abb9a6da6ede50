"""Scores of separated clips: SI-SDR gains over the mix, and the sum's residual."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tools.demo_training.heldout import STEMS, Clip

Separate = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Score:
    """A clip's gains in dB by stem, its residual and the leak into vocals in dB."""

    name: str
    gains: dict[str, float]
    residual: float
    vocals: float


def score(clip: Clip, separate: Separate) -> Score:
    """Separate a clip's mix (2, samples) and compare with its stems."""
    mix, estimates = clip.mix, separate(clip.mix)
    gains = {
        stem: si_sdr(estimates[index], clip.stems[index])
        - si_sdr(mix, clip.stems[index])
        for index, stem in enumerate(STEMS)
    }
    residual = _decibels(_energy(estimates.sum(0) - mix) / _energy(mix))
    vocals = _decibels(_energy(estimates[len(STEMS)]) / _energy(mix))
    return Score(clip.name, gains, residual, vocals)


def medians(scores: Iterable[Score]) -> dict[str, float]:
    """Return the median of each figure over the clips, rounded to 0.01 dB."""
    scores = list(scores)
    figures = {stem: [one.gains[stem] for one in scores] for stem in STEMS}
    figures["residual"] = [one.residual for one in scores]
    figures["vocals"] = [one.vocals for one in scores]
    return {name: round(float(np.median(each)), 2) for name, each in figures.items()}


def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB."""
    flat, target = estimate.ravel().astype(float), reference.ravel().astype(float)
    target = target * (flat @ target / max(float(target @ target), 1e-12))
    return _decibels(_energy(target) / _energy(flat - target))


def _energy(samples: np.ndarray) -> float:
    return float(np.sum(np.square(samples, dtype=float))) + 1e-12


def _decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))
