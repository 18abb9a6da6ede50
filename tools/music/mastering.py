"""Mastering of a mix: equaliser, dynamics, room and codec.

No step delays the sound: filters are minimum phase or zero phase, and the codec's
padding is removed.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import scipy.signal
from numpy.typing import NDArray

from serve_app.audio import decode
from tools.music.rendering import SAMPLE_RATE, Wave

_BLOCK = 512
_EPSILON = 1e-9


def master(mix: Wave, steps: str, rng: np.random.Generator) -> Wave:
    """Apply steps such as "tilt:3 comp:0.5 limit:6 mp3:128" to a mix."""
    wave = _normalised(mix)
    for step in steps.split():
        name, _, value = step.partition(":")
        if name != "wet":
            wave = _STEPS[name](wave, float(value or 0), rng)
    return wave.astype(np.float32)


def _normalised(wave: Wave, peak: float = 0.7) -> Wave:
    return np.asarray(
        wave * (peak / max(float(np.abs(wave).max()), _EPSILON)), np.float32
    )


def _tilt(wave: Wave, decibels: float, rng: np.random.Generator) -> Wave:
    """Tilt the spectrum around 800 Hz with a first-order shelf, in dB."""
    gain = 10 ** (decibels / 20)
    w = np.tan(np.pi * 800 / SAMPLE_RATE)
    # (s * gain + w) / (s + w), bilinear: high frequencies by `gain`, low ones by 1.
    b = np.array([w + gain, w - gain]) / (1 + w)
    a = np.array([1.0, (w - 1) / (1 + w)])
    return np.asarray(scipy.signal.lfilter(b, a, wave, axis=1), np.float32)


def _low(wave: Wave, hertz: float, rng: np.random.Generator) -> Wave:
    """Remove the frequencies above `hertz`, like old sound cards."""
    sections = scipy.signal.butter(3, hertz, fs=SAMPLE_RATE, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, wave, axis=1), np.float32)


def _compress(wave: Wave, amount: float, rng: np.random.Generator) -> Wave:
    """Compress the dynamics: 0 has no effect, 1 makes all levels about equal."""
    padded = np.pad(wave, ((0, 0), (0, -wave.shape[1] % _BLOCK)))
    power = (padded**2).mean(axis=0).reshape(-1, _BLOCK).mean(axis=1)
    # An attack of about 12 ms and a release of about 200 ms.
    level = np.empty_like(power)
    held = 0.0
    for index, value in enumerate(power):
        held += (value - held) * (0.6 if value > held else 0.06)
        level[index] = held
    loud = np.sqrt(level) + 10 ** (-45 / 20)
    gain = (loud / loud.max()) ** -(amount * 0.7)
    at = (np.arange(len(gain)) + 0.5) * _BLOCK
    curve = np.interp(np.arange(wave.shape[1]), at, np.minimum(gain, 12.0))
    return _normalised((wave * curve).astype(np.float32))


def _limit(wave: Wave, decibels: float, rng: np.random.Generator) -> Wave:
    """Saturate the mix, driven by this many dB."""
    driven = _normalised(wave, 1.0) * 10 ** (decibels / 20)
    return np.asarray(np.tanh(driven) * 0.97, np.float32)


def _clip(wave: Wave, decibels: float, rng: np.random.Generator) -> Wave:
    """Clip the mix, driven by this many dB over full scale."""
    driven = _normalised(wave, 1.0) * 10 ** (decibels / 20)
    return np.asarray(np.clip(driven, -1.0, 1.0), np.float32)


def _room(wave: Wave, seconds: float, rng: np.random.Generator) -> Wave:
    """Add a reverb that decays by 60 dB in this many seconds."""
    count = int(seconds * SAMPLE_RATE)
    decay = 10 ** (-3 * np.arange(count) / count)
    tail = rng.standard_normal((2, count)) * decay
    tail /= np.sqrt((tail**2).sum(axis=1, keepdims=True))
    wet = scipy.signal.fftconvolve(wave, tail, axes=1)[:, : wave.shape[1]]
    return np.asarray(wave + 0.35 * wet, np.float32)


def _narrow(wave: Wave, width: float, rng: np.random.Generator) -> Wave:
    """Scale the stereo width; 0 is mono."""
    middle = wave.mean(axis=0, keepdims=True)
    return np.asarray(middle + width * (wave - middle), np.float32)


def _noise(wave: Wave, decibels: float, rng: np.random.Generator) -> Wave:
    """Add white noise at a level in dB relative to full scale."""
    noise = rng.standard_normal(wave.shape, np.float32) * 10 ** (decibels / 20)
    return np.asarray(wave + noise, np.float32)


def _mp3(wave: Wave, kilobits: float, rng: np.random.Generator) -> Wave:
    """Encode as MP3 at a bit rate in kbit/s and decode, without delay or padding."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "piece.mp3"
        _encode(np.clip(wave, -1, 1), path, int(kilobits) * 1000)
        with decode.opened(path) as song:
            blocks = list(song.blocks(decode.BLOCK_SAMPLES))
    decoded = np.concatenate(blocks, axis=1)[:, : wave.shape[1]]
    return np.pad(decoded, ((0, 0), (0, wave.shape[1] - decoded.shape[1])))


def _encode(wave: NDArray[np.float32], path: Path, bit_rate: int) -> None:
    with av.open(str(path), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE)
        stream.bit_rate = bit_rate
        stream.layout = "stereo"
        for begin in range(0, wave.shape[1], 1152 * 64):
            block = np.ascontiguousarray(wave[:, begin : begin + 1152 * 64])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


_STEPS: dict[str, Callable[[Wave, float, np.random.Generator], Wave]] = {
    "tilt": _tilt,
    "low": _low,
    "comp": _compress,
    "limit": _limit,
    "clip": _clip,
    "room": _room,
    "narrow": _narrow,
    "noise": _noise,
    "mp3": _mp3,
}


def drawn(rng: np.random.Generator) -> str:
    """Draw the mastering steps of a piece."""
    steps: list[str] = []

    def maybe(chance: float, step: str) -> None:
        if rng.random() < chance:
            steps.append(step)

    maybe(0.6, "wet")
    maybe(0.25, f"room:{rng.uniform(0.3, 1.8):.1f}")
    maybe(0.5, f"tilt:{rng.uniform(-8, 8):.1f}")
    maybe(0.1, f"low:{rng.integers(3500, 9000)}")
    maybe(0.45, f"comp:{rng.uniform(0.2, 0.9):.1f}")
    loud = rng.random()
    if loud < 0.4:
        steps.append(f"limit:{rng.uniform(0, 12):.0f}")
    elif loud < 0.5:
        steps.append(f"clip:{rng.uniform(2, 9):.0f}")
    maybe(0.2, f"narrow:{rng.choice([0.0, 0.3, 0.6])}")
    maybe(0.2, f"noise:{rng.uniform(-62, -38):.0f}")
    maybe(0.35, f"mp3:{rng.choice([96, 128, 192, 256])}")
    return " ".join(steps)


def names(steps: str) -> Sequence[str]:
    """Return the names of the steps."""
    return [step.partition(":")[0] for step in steps.split()]
