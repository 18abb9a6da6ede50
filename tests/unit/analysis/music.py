"""Generated music: clicks, drums, scales and cadences. Mono, 22,050 Hz."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 22_050
CHORD_SECONDS = 0.7

Mono = NDArray[np.float32]

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11, 12)  # harmonic
MAJOR, MINOR = (0, 4, 7), (0, 3, 7)


def _fading(seconds: float, decay_seconds: float) -> tuple[Mono, Mono]:
    time = np.arange(int(seconds * RATE), dtype=np.float32) / np.float32(RATE)
    return time, np.exp(-time / np.float32(decay_seconds))


def _noise(samples: int) -> Mono:
    return np.random.default_rng(7).standard_normal(samples).astype(np.float32)


def noise(seconds: float, seed: int = 0, colour: int = 0) -> Mono:
    """White noise, or noise falling by 3 dB an octave (pink) or 6 (brown)."""
    samples = int(seconds * RATE)
    white = np.random.default_rng(seed).standard_normal(samples)
    falling = np.fft.rfft(white)
    falling /= np.maximum(np.arange(len(falling)), 1) ** (colour / 2)
    wave = np.fft.irfft(falling, samples)
    return np.asarray(0.1 * wave / wave.std(), np.float32)


def click(hertz: float) -> Mono:
    time, fade = _fading(0.03, 0.008)
    return np.asarray(np.sin(2 * np.pi * hertz * time) * fade, np.float32)


def kick() -> Mono:
    time, fade = _fading(0.25, 0.08)
    turns = 50 * time + 8 * (1 - np.exp(-25 * time))
    return np.asarray(np.sin(2 * np.pi * turns) * fade, np.float32)


def snare() -> Mono:
    time, fade = _fading(0.2, 0.05)
    body = np.sin(2 * np.pi * 190 * time)
    return np.asarray((0.4 * _noise(len(time)) + 0.3 * body) * fade, np.float32)


def hat() -> Mono:
    _, fade = _fading(0.06, 0.015)
    return np.asarray(np.diff(_noise(len(fade) + 1)) * fade * 0.12, np.float32)


def placed(sounds: Sequence[tuple[float, Mono]], seconds: float) -> Mono:
    """Mix sounds, each at its time in seconds."""
    mix = np.zeros(int((seconds + 1) * RATE), np.float32)
    for at, sound in sounds:
        start = round(at * RATE)
        room = mix[start : start + len(sound)]
        room += sound[: len(room)]
    return mix[: int(seconds * RATE)]


def clicks(bpm: float, seconds: float = 20.0, hertz: float = 1_000.0) -> Mono:
    beats = np.arange(0, seconds, 60 / bpm)
    return placed([(float(beat), click(hertz)) for beat in beats], seconds)


def drums(bpm: float, seconds: float = 20.0, hats_per_beat: int = 2) -> Mono:
    """Kick, snare, kick, snare, and hats."""
    beats = np.arange(0, seconds, 60 / bpm)
    sounds = [(float(at), (kick, snare)[i % 2]()) for i, at in enumerate(beats)]
    hats = np.arange(0, seconds, 60 / bpm / hats_per_beat)
    return placed([*sounds, *((float(at), hat()) for at in hats)], seconds)


def tone(pitch: float, seconds: float) -> Mono:
    """A plucked note of six harmonics; 69 is the A of 440 Hz."""
    time, fade = _fading(seconds, 1.0)
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    edges = np.clip(np.minimum(time / 0.01, (seconds - time) / 0.03), 0, 1)
    harmonics = (np.sin(2 * np.pi * hertz * n * time) / n**1.3 for n in range(1, 7))
    return np.asarray(sum(harmonics) * edges * fade, np.float32)


def scale(tonic: int, is_minor: bool, cents: float = 0.0) -> Mono:
    """Up and down, twice."""
    steps = MINOR_SCALE if is_minor else MAJOR_SCALE
    notes = [tone(60 + tonic + step + cents / 100, 0.3) for step in steps + steps[::-1]]
    return np.concatenate(notes * 2)


def cadence(tonic: int, is_minor: bool, cents: float = 0.0) -> Mono:
    """Tonic, subdominant, dominant (major in both modes), tonic; twice."""
    mode = MINOR if is_minor else MAJOR
    return _played(tonic + cents / 100, [(0, mode), (5, mode), (7, MAJOR), (0, mode)])


def dorian(tonic: int, cents: float = 0.0) -> Mono:
    """A dorian loop: the notes of the major key below, with a minor chord as tonic."""
    return _played(
        tonic + cents / 100, [(0, MINOR), (10, MAJOR), (5, MAJOR), (0, MINOR)]
    )


def _played(tonic: float, chords: Sequence[tuple[int, Sequence[int]]]) -> Mono:
    """Return chords, given as steps above a tonic, played twice."""
    sounds = [_chord(48 + tonic + root, steps) for root, steps in chords]
    return np.concatenate(sounds * 2)


def _chord(root: float, steps: Sequence[int]) -> Mono:
    notes = [tone(root + step, CHORD_SECONDS) for step in (-12, *steps)]
    return np.asarray(np.sum(notes, axis=0, dtype=np.float32))
