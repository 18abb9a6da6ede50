"""How often an estimated tempo is right, by its confidence.

    python benchmarks/confidence.py music/score
    python benchmarks/confidence.py music/train music/tune --varied --fit

Reads the pieces that `tools/music` renders, and the datasets that `stemserve evaluate`
reads, but only songs of constant tempo. `--varied` also plays each at other speeds,
five in all, and 12 s from its middle, to get more errors to fit to. `--fit` prints the
constants for `serve_app/analysis/rhythm.py` that fit these songs. A minute of music
takes about half a second on one core.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import numpy as np  # noqa: E402
import soxr  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from serve_app.analysis import scores  # noqa: E402
from serve_app.analysis.downmix import SAMPLE_RATE, Downmix, Samples  # noqa: E402
from serve_app.analysis.network import NetworkEngine  # noqa: E402
from serve_app.analysis.rhythm import log_odds, rhythm  # noqa: E402
from serve_app.audio import decode  # noqa: E402
from serve_app.cli import datasets  # noqa: E402

_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_SPEEDS = (0.71, 0.84, 1.0, 1.19, 1.41)
_SLOWEST, _FASTEST = 45.0, 220.0
_EXCERPT = 12 * SAMPLE_RATE


@dataclass(frozen=True)
class Estimate:
    """An estimated tempo's confidence and log odds, and whether it is right."""

    confidence: float
    is_right: bool
    log_odds: float


def estimates(path: Path, bpm: float, is_varied: bool) -> Iterator[Estimate]:
    """Yield the estimates for a song, and at other speeds, if there is a pulse."""
    song = _mono(path)
    for speed in _SPEEDS if is_varied else (1.0,):
        if not _SLOWEST <= bpm * speed <= _FASTEST and speed != 1.0:
            continue
        played = soxr.resample(song, SAMPLE_RATE, SAMPLE_RATE / speed)
        first = max((len(played) - _EXCERPT) // 2, 0)
        for part in (played, played[first : first + _EXCERPT])[: 1 + is_varied]:
            estimate = _estimate(np.asarray(part, np.float32), bpm * speed)
            if estimate is not None:
                yield estimate


def _mono(path: Path) -> Samples:
    with decode.opened(path) as song:
        downmix = Downmix(song.sample_rate)
        parts = [downmix.add(block) for block in song.blocks(decode.BLOCK_SAMPLES)]
        return np.concatenate([*parts, downmix.end()])


def _estimate(mono: Samples, bpm: float) -> Estimate | None:
    engine = NetworkEngine()
    engine.add(mono)
    activations = engine.activations()
    told = rhythm(activations)
    if told.reason is not None:
        return None
    return Estimate(
        confidence=told.bpm_confidence,
        is_right=scores.is_acc1(told.bpm, bpm),
        log_odds=log_odds(activations, told.bpm),
    )


def table(found: Sequence[Estimate]) -> str:
    """Return a Markdown table of how often tempi are right, by confidence."""
    lines = ["| confidence | songs | mean confidence | right |", "|---|---|---|---|"]
    told = np.array([estimate.confidence for estimate in found])
    right = np.array([estimate.is_right for estimate in found])
    for low, high in pairwise(_BINS):
        here = (told >= low) & ((told < high) | (high == _BINS[-1]))
        if here.any():
            name = f"{low:.2f}-{high:.2f}"
            shares = f"{100 * told[here].mean():.0f} % | {100 * right[here].mean():.0f}"
            lines.append(f"| {name} | {here.sum()} | {shares} % |")
    shares = f"{100 * told.mean():.0f} % | {100 * right.mean():.0f}"
    return "\n".join([*lines, f"| all | {len(found)} | {shares} % |"])


def fitted(found: Sequence[Estimate]) -> NDArray[np.float64]:
    """Return the constant and the weight of the log odds by logistic regression.

    Uses Newton's method, with a Gaussian prior of variance 1 on the weight.
    """
    values = np.array([[1.0, estimate.log_odds] for estimate in found])
    right = np.array([float(estimate.is_right) for estimate in found])
    prior = np.diag([0.0, 1.0])
    weights = np.zeros(2)
    for _ in range(30):
        likely = 1 / (1 + np.exp(-values @ weights))
        curvature = (values.T * (likely * (1 - likely))) @ values + prior
        slope = values.T @ (right - likely) - prior @ weights
        weights = weights + np.linalg.solve(curvature, slope)
    return weights


def main() -> None:
    """Parse the command line, estimate the tempi and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--varied", action="store_true")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    songs = [song for folder in options.folders for song in datasets.read(folder)]
    found = [
        estimate
        for song in songs
        if song.truth.bpm is not None
        for estimate in estimates(song.path, song.truth.bpm, options.varied)
    ]
    print(table(found))
    if options.fit:
        constants = ", ".join(f"{weight:.2f}" for weight in fitted(found))
        print(f"_SURE, _SURE_ODDS = {constants}")


if __name__ == "__main__":
    main()
