"""Score separated clips: SI-SDR gains over the mix, and the sum's residual."""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event

import numpy as np

from serve_app.separation.engine import Engine, MixStatistics
from tools.demo_training.heldout import STEMS, Clip


@dataclass(frozen=True)
class Score:
    """A clip's gains by stem, its residual and the leak into vocals, all in dB.

    The residual is the difference of the stems' sum and the mix. It and the leak are
    relative to the mix.
    """

    name: str
    gains: dict[str, float]
    residual: float
    vocals: float


def evaluate(engine: Engine, clips: Iterable[Clip]) -> list[Score]:
    """Separate the clips as the server separates songs, and score the stems."""
    return [score(clip, _separated(engine, clip.mix)) for clip in clips]


def _separated(engine: Engine, mix: np.ndarray) -> np.ndarray:
    mono, side = mix.mean(0), (mix[0] - mix[1]) / 2
    stats = MixStatistics(
        mix.shape[1], float(mono.mean()), float(mono.std()), float(side.mean())
    )
    blocks = engine.separate(
        [mix], stats, on_progress=lambda done, total: None, cancelled=Event()
    )
    return np.concatenate(list(blocks), axis=-1)


def score(clip: Clip, estimates: np.ndarray) -> Score:
    """Compare estimates (4, 2, samples) with the clip's stems."""
    mix = clip.mix
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
