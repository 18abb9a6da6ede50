"""Sing the vocal line with formant-filtered pulses or espeak-ng syllables."""

import io
import subprocess
from collections.abc import Callable, Sequence

import numpy as np
import soundfile
from scipy.signal import lfilter

from tools.demo_training.notes import Note
from tools.demo_training.rendering import SAMPLE_RATE

Voice = Callable[[float, int], np.ndarray]

# Formants of a, e, i, o, u, schwa in Hz, for a medium vocal tract.
VOWELS = (
    (730, 1090, 2440, 3400),
    (530, 1840, 2480, 3500),
    (270, 2290, 3010, 3700),
    (570, 840, 2410, 3300),
    (300, 870, 2240, 3200),
    (500, 1500, 2500, 3500),
)
BANDWIDTHS = (80, 100, 140, 200)
SYLLABLES = ("la", "da", "na", "mi", "so", "doo", "yeah", "oh", "love", "night", "you")
VARIANTS = ("+m1", "+m3", "+m7", "+f1", "+f2", "+f3", "+f4")
FADE_SECONDS = 0.02


def sing(
    rng: np.random.Generator, notes: Sequence[Note], bpm: float, samples: int
) -> np.ndarray:
    """Return a sung line as float32 (2, samples): one voice, sometimes doubled."""
    if not notes:
        return np.zeros((2, samples), np.float32)
    voice = _espeak(rng) if rng.random() < 0.4 else _formants(rng)
    left = _line(voice, notes, bpm, samples)
    right = left
    if rng.random() < 0.3:
        right = np.roll(_line(voice, notes, bpm, samples), int(rng.integers(200, 1500)))
    return np.stack([left, right]).astype(np.float32)


def _line(voice: Voice, notes: Sequence[Note], bpm: float, samples: int) -> np.ndarray:
    line = np.zeros(samples)
    for note in notes:
        start = int(note.start_beats * 60 / bpm * SAMPLE_RATE)
        length = int(note.length_beats * 60 / bpm * SAMPLE_RATE)
        end = min(start + length, samples)
        if end - start < 2 * int(FADE_SECONDS * SAMPLE_RATE):
            continue
        hertz = 440 * 2 ** ((note.pitch - 69) / 12)
        sound = _faded(voice(hertz, end - start))
        line[start : start + len(sound)] += sound * note.velocity / 127
    return line


def _faded(sound: np.ndarray) -> np.ndarray:
    fade = min(int(FADE_SECONDS * SAMPLE_RATE), len(sound) // 2)
    ramp = np.linspace(0, 1, fade)
    sound[:fade] *= ramp
    sound[len(sound) - fade :] *= ramp[::-1]
    return sound


def _formants(rng: np.random.Generator) -> Voice:
    size = rng.uniform(0.85, 1.25)
    depth, rate = rng.uniform(0.0, 0.02), rng.uniform(4.5, 6.5)
    breath, softness = rng.uniform(0.0, 0.08), rng.uniform(0.8, 0.97)

    def voice(hertz: float, samples: int) -> np.ndarray:
        time = np.arange(samples) / SAMPLE_RATE
        swell = np.minimum(time / 0.4, 1.0)
        bend = 1 + depth * swell * np.sin(2 * np.pi * rate * time)
        phase = np.cumsum(hertz * bend) / SAMPLE_RATE
        pulses = (phase % 1.0) ** 3 - 0.25 + breath * rng.standard_normal(samples)
        sound = lfilter([1 - softness], [1, -softness], pulses)
        for formant, width in zip(
            VOWELS[rng.integers(len(VOWELS))], BANDWIDTHS, strict=True
        ):
            sound = sound + 0.3 * _resonate(sound, formant * size, width)
        if rng.random() < 0.5:
            sound[:4000] += _consonant(rng, min(4000, samples))
        return sound / (np.abs(sound).max() + 1e-9)

    return voice


def _resonate(sound: np.ndarray, hertz: float, width: float) -> np.ndarray:
    radius = np.exp(-np.pi * width / SAMPLE_RATE)
    angle = 2 * np.pi * hertz / SAMPLE_RATE
    poles = [1, -2 * radius * np.cos(angle), radius**2]
    # Unit gain at the resonance keeps the vowels equally loud.
    gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
    return np.asarray(8 * lfilter([gain], poles, sound))


def _consonant(rng: np.random.Generator, samples: int) -> np.ndarray:
    noise = rng.standard_normal(samples) * np.exp(-np.arange(samples) / 900)
    return np.asarray(rng.uniform(0.05, 0.4) * np.diff(noise, prepend=0.0))


def _espeak(rng: np.random.Generator) -> Voice:
    variant = "en" + str(rng.choice(VARIANTS))
    pitch, words = int(rng.integers(30, 90)), rng.choice(SYLLABLES, size=8)
    bank = [_syllable(variant, pitch, str(word)) for word in words]

    def voice(hertz: float, samples: int) -> np.ndarray:
        sound, spoken = bank[rng.integers(len(bank))]
        ratio = hertz / spoken
        # Change the octave rather than stretch the voice too far.
        ratio *= 2.0 ** -round(np.log2(ratio))
        count = min(samples, int(len(sound) / ratio))
        return np.interp(np.arange(count) * ratio, np.arange(len(sound)), sound)

    return voice


def _syllable(variant: str, pitch: int, word: str) -> tuple[np.ndarray, float]:
    """Return a spoken word at 44.1 kHz, peak 1, and its pitch in Hz."""
    command = ["espeak-ng", "-v", variant, "-p", str(pitch), "-s", "110", "--stdout"]
    run = subprocess.run([*command, word], capture_output=True, check=True)
    sound, rate = soundfile.read(io.BytesIO(run.stdout), dtype="float64")
    positions = np.arange(int(len(sound) * SAMPLE_RATE / rate)) * rate / SAMPLE_RATE
    sound = np.interp(positions, np.arange(len(sound)), sound)
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    sound = sound[loud[0] : loud[-1] + 1] if len(loud) else sound
    return sound / (np.abs(sound).max() + 1e-9), _pitch(sound)


def _pitch(sound: np.ndarray) -> float:
    """Estimate the pitch in Hz at the middle of a sound, by autocorrelation."""
    middle = len(sound) // 2
    excerpt = sound[max(0, middle - 2048) : middle + 2048]
    spectrum = np.fft.rfft(excerpt, 2 * len(excerpt))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    shortest, longest = SAMPLE_RATE // 500, min(SAMPLE_RATE // 60, len(excerpt))
    lag = shortest + int(np.argmax(correlation[shortest:longest]))
    return SAMPLE_RATE / lag
