"""Plain examples: clicks and drums at all tempi, and sounds without any beat."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tools.beat_training.rendering import SAMPLE_RATE

Mono = NDArray[np.float32]

SECONDS = 32.0
_WORDS = (
    "the river runs past seven old houses and a mill where nobody lives any more",
    "yesterday we bought bread apples and a little cheese at the market",
    "please remember to close the window before you leave",
    "rain is on its way and the trains are late again this week",
    "nine people waited at the harbour for a ship that came by night",
)


def beaten(
    rng: np.random.Generator, slowest: float = 40.0, fastest: float = 240.0
) -> tuple[Mono, list[float], list[float]]:
    """Return clicks or drums at a tempo in the range, with their beats and bars."""
    bpm = float(np.exp(rng.uniform(np.log(slowest), np.log(fastest))))
    beats = np.arange(rng.uniform(0, 1.0), SECONDS - 0.3, 60 / bpm)
    per_bar = int(rng.choice([3, 4, 4, 4]))
    mono = np.zeros(int(SECONDS * SAMPLE_RATE), np.float32)
    if rng.random() < 0.4:
        sound = _click(rng)
        loud = float(rng.choice([1.0, 1.0, 1.7]))
        for number, at in enumerate(beats):
            _put(mono, at, sound * (loud if number % per_bar == 0 else 1.0))
    else:
        kick, snare, hat = _kick(rng), _noise(rng, 0.05, 0.5), _noise(rng, 0.015, 0.15)
        # At most 12 hi-hats a second, about as fast as they are played.
        each = int(rng.choice([n for n in (1, 2, 3, 4) if n * bpm < 720]))
        has_kicks = rng.random() < 0.3
        for number, at in enumerate(beats):
            is_back = number % per_bar % 2 == 1
            _put(mono, at, snare if is_back else kick)
            if has_kicks and is_back:
                _put(mono, at, kick)
            for part in range(each):
                _put(mono, at + part * 60 / bpm / each, hat)
    if rng.random() < 0.5:
        level = 10 ** rng.uniform(-4, -1.2)
        mono += np.asarray(rng.standard_normal(len(mono)) * level, np.float32)
    if rng.random() < 0.3:  # A break.
        start = float(rng.uniform(8, 20))
        end = start + float(rng.uniform(2, 7))
        mono[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] *= 0
        kept = (beats < start) | (beats >= end)
    else:
        kept = np.ones(len(beats), bool)
    # Among identical clicks any may begin the bar; the first one is used.
    return mono, beats[kept].tolist(), beats[::per_bar][kept[::per_bar]].tolist()


def beatless(rng: np.random.Generator) -> Mono:
    """Return noise, a tone, a slow swell or speech."""
    samples = int(SECONDS * SAMPLE_RATE)
    kind = rng.integers(5)
    if kind == 0 or (kind >= 3 and shutil.which("espeak-ng") is None):
        noise = rng.standard_normal(samples)
        return np.asarray(_coloured(noise, float(rng.uniform(-2, 1))), np.float32)
    time = np.arange(samples) / SAMPLE_RATE
    if kind == 1:
        return np.asarray(np.sin(2 * np.pi * rng.uniform(60, 2000) * time), np.float32)
    if kind == 2:
        swell = np.interp(time, np.sort(rng.uniform(0, SECONDS, 9)), rng.random(9))
        tones = sum(np.sin(2 * np.pi * hz * time) for hz in rng.uniform(80, 900, 4))
        return np.asarray(swell * tones, np.float32)
    words = " ".join(rng.choice(_WORDS, size=12))
    voice = str(rng.choice(["en-us", "en-gb", "de", "fr", "es", "it"]))
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "speech.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(int(rng.integers(110, 210)))]
        command += ["-p", str(int(rng.integers(20, 80))), "-w", str(wave), words]
        subprocess.run(command, capture_output=True, check=True)
        speech, rate = soundfile.read(wave, dtype="float32")
    mono = soxr.resample(speech, rate, SAMPLE_RATE)[:samples]
    noise = rng.standard_normal(len(mono)) * 10 ** rng.uniform(-5, -2)
    return np.asarray(mono + noise, np.float32)


def _put(mono: Mono, at: float, sound: Mono) -> None:
    start = round(at * SAMPLE_RATE)
    room = mono[start : start + len(sound)]
    room += sound[: len(room)]


def _click(rng: np.random.Generator) -> Mono:
    time = np.arange(int(0.06 * SAMPLE_RATE)) / SAMPLE_RATE
    hertz, decay = (
        np.exp(rng.uniform(np.log(150), np.log(6000))),
        rng.uniform(0.003, 0.02),
    )
    return np.asarray(
        np.sin(2 * np.pi * hertz * time) * np.exp(-time / decay), np.float32
    )


def _kick(rng: np.random.Generator) -> Mono:
    time = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    turns = rng.uniform(40, 60) * time + rng.uniform(2, 9) * (1 - np.exp(-25 * time))
    fade = np.exp(-time / rng.uniform(0.05, 0.12))
    return np.asarray(np.sin(2 * np.pi * turns) * fade, np.float32)


def _noise(rng: np.random.Generator, decay: float, level: float) -> Mono:
    time = np.arange(int(5 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    fade = np.exp(-time / (decay * rng.uniform(0.6, 1.5)))
    noise = rng.standard_normal(len(time)) * level * rng.uniform(0.5, 1.5)
    if rng.random() < 0.7:
        noise = np.diff(noise, prepend=0)
    return np.asarray(noise * fade, np.float32)


def _coloured(noise: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(noise)
    hertz = np.maximum(np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE), 20)
    return np.fft.irfft(spectrum * (hertz / 1000) ** (slope / 2), len(noise))
