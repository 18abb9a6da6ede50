"""Synthesis of compositions without a soundfont: pulses, saws, FM, random timbres."""

import random

import numpy as np
from numpy.typing import NDArray

from tools.key_training.composing import Composition
from tools.key_training.rendering import SAMPLE_RATE, Samples, mastered

Partials = NDArray[np.float64]
_HARMONICS = np.arange(1, 17)


def play(song: Composition, seed: int) -> Samples:
    """Return a song synthesised as mono samples at 22,050 Hz, with random mastering."""
    draw = random.Random(f"synthesis-{seed}")
    beat = 60 / song.bpm
    mix = np.zeros(int((song.beats * beat + 2) * SAMPLE_RATE), np.float32)
    for track in song.tracks:
        heights = _partials(draw)
        decay = draw.choice([0.15, 0.5, 1.5, 30.0])
        bend = draw.choice([0.0, 0.0, 0.1, 0.25])  # Semitones of vibrato.
        for note in track.notes:
            strength = track.volume / 127 * note.velocity / 127
            if track.is_drums:
                sound = _drum(draw, note.pitch)
            else:
                hertz = 440 * 2 ** ((note.pitch - 69 + song.cents / 100) / 12)
                seconds = note.length_beats * beat
                sound = _note(hertz, seconds, heights, decay, bend)
            room = mix[int(note.start_beats * beat * SAMPLE_RATE) :][: len(sound)]
            room += strength * sound[: len(room)]
    return mastered(mix, draw)


def _partials(draw: random.Random) -> Partials:
    kind = draw.choice(["pulse", "saw", "random", "fm", "triangle", "organ"])
    n = _HARMONICS
    if kind == "pulse":
        return np.abs(np.sin(np.pi * n * draw.choice([0.5, 0.25, 0.125]))) / n
    if kind == "saw":
        return 1 / n
    if kind == "triangle":
        return (n % 2) / n**2
    if kind == "organ":
        return np.isin(n, draw.sample([1, 2, 3, 4, 6, 8], 3)) * 1.0
    if kind == "fm":
        ratio, index = draw.choice([1, 2, 3, 4]), draw.uniform(0.5, 4)
        cycle = np.arange(256) * 2 * np.pi / 256
        wave = np.sin(cycle + index * np.sin(ratio * cycle))
        return np.abs(np.fft.rfft(wave))[1:17] / 128
    steepness = draw.uniform(0.3, 1.5)
    drawn = np.array([draw.random() for _ in n])
    return drawn / n**steepness


def _note(
    hertz: float, seconds: float, heights: Partials, decay: float, bend: float
) -> Samples:
    time = np.arange(int((seconds + 0.05) * SAMPLE_RATE)) / SAMPLE_RATE
    phase = hertz * time
    if bend:
        phase += hertz * bend / 12 * np.log(2) * np.sin(2 * np.pi * 5.5 * time) / 34.6
    cycle = np.zeros(1_024, complex)[:513]
    audible = int(min(16, 0.45 * SAMPLE_RATE / hertz))
    cycle[1 : 1 + audible] = heights[:audible] * -512j
    table = np.fft.irfft(cycle)
    wave = table[(phase % 1 * 1_024).astype(int)]
    edges = np.clip(np.minimum(time / 0.005, (time[-1] - time) / 0.05), 0, 1)
    return np.asarray(wave * edges * np.exp(-time / decay), np.float32)


def _drum(draw: random.Random, pitch: int) -> Samples:
    seconds = 0.3 if pitch in (36, 41, 43, 45, 47, 48, 50) else 0.15
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    fade = np.exp(-time / (seconds / 4))
    noise = np.random.default_rng(pitch).standard_normal(len(time))
    if pitch >= 42 and pitch in (42, 46, 51, 54):
        return np.asarray(np.diff(noise, prepend=0) * fade * 0.3, np.float32)
    start = {36: 50, 38: 180, 40: 190}.get(pitch, 70 + 6 * (pitch - 41))
    body = np.sin(2 * np.pi * (start * time + 4 * (1 - np.exp(-25 * time))))
    share = draw.uniform(0, 0.5) if pitch != 36 else 0.0
    return np.asarray((body + share * noise) * fade, np.float32)
