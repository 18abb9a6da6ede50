"""Songs that arrive: their times and lengths, in patterns of a day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
# Relative rates at the given times (seconds).
Pattern = Callable[[Times, float, np.random.Generator], Times]

_STEP_SECONDS = 10.0


@dataclass(frozen=True)
class Trace:
    """Songs in order: when they arrive and how much audio they have, in seconds."""

    name: str
    arrives_at: Times
    audio_seconds: Times
    seconds: float


def lengths(count: int, rng: np.random.Generator) -> Times:
    """Return lengths of songs in seconds.

    Of DJs' libraries: 88 % songs around 3:20 (log-normal), 10 % loops and samples, 2 %
    mixes of one to two hours, which are a third of all audio.
    """
    songs = rng.lognormal(np.log(200), 0.4, count)
    samples, mixes = rng.uniform(5, 30, count), rng.uniform(3600, 7200, count)
    kind = rng.random(count)
    return np.where(kind < 0.88, songs, np.where(kind < 0.98, samples, mixes))


def steady(at: Times, _: float, __: np.random.Generator) -> Times:
    """Return the same rate at all times."""
    return np.ones_like(at)


def diurnal(at: Times, seconds: float, _: np.random.Generator) -> Times:
    """Return a rate between 0.1 in the night and 1.9 in the evening."""
    return 1 - 0.9 * np.cos(2 * np.pi * at / seconds)


def bursty(at: Times, seconds: float, rng: np.random.Generator) -> Times:
    """Return a low rate with bursts of five to fifteen minutes, about one an hour."""
    rate = np.full_like(at, 0.3)
    for _ in range(max(1, int(seconds / 3600))):
        begins, lasts = rng.uniform(0, seconds), rng.uniform(300, 900)
        rate[(at >= begins) & (at < begins + lasts)] += rng.uniform(2, 6)
    return rate


def flash_crowd(at: Times, seconds: float, _: np.random.Generator) -> Times:
    """Return a rate that grows tenfold within a minute, and falls again in an hour."""
    since = at - seconds / 2
    grown = np.clip(since / 60, 0, 1) * np.exp(-np.clip(since, 0, None) / 1800)
    return 0.5 + 4.5 * grown


def libraries(at: Times, seconds: float, rng: np.random.Generator) -> Times:
    """Return hardly any rate but for whole libraries that are sent within minutes."""
    rate = np.full_like(at, 0.1)
    for _ in range(max(1, int(seconds / 7200))):
        begins = rng.uniform(0, seconds)
        rate[(at >= begins) & (at < begins + 120)] += 50
    return rate


def _product(*patterns: Pattern) -> Pattern:
    def both(at: Times, seconds: float, rng: np.random.Generator) -> Times:
        return np.prod([each(at, seconds, rng) for each in patterns], axis=0)

    return both


PATTERNS: Mapping[str, Pattern] = {
    "steady": steady,
    "diurnal": diurnal,
    "bursty": bursty,
    "flash crowd": flash_crowd,
    "libraries": libraries,
    "diurnal, bursty": _product(diurnal, bursty),
    "diurnal, flash crowd": _product(diurnal, flash_crowd),
    "diurnal, libraries": _product(diurnal, libraries),
}


def trace(name: str, load: float, speed: float, seconds: float, seed: int = 1) -> Trace:
    """Return a trace that keeps `load` replicas of a speed busy on average.

    Songs arrive by a Poisson process whose rate follows the pattern.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    steps = np.arange(0, seconds, _STEP_SECONDS)
    rate = PATTERNS[name](steps, seconds, rng)
    mean_seconds = float(lengths(100_000, rng).mean())
    songs = load * seconds * speed / mean_seconds
    counts = rng.poisson(rate / rate.sum() * songs)
    at = np.repeat(steps, counts) + rng.uniform(0, _STEP_SECONDS, counts.sum())
    return Trace(name, np.sort(at), lengths(at.size, rng), seconds)
