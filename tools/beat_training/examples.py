"""Training examples: levels with their beats, in one file per song."""

import json
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from serve_app.analysis.downmix import SAMPLE_RATE
from serve_app.analysis.features import Chromagram, Spectrogram
from tools.beat_training import composing, plain, rendering

FIRST_EDGE = 160


def levels(mono: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return the levels (n, bands) of a whole song."""
    spectrogram = Spectrogram()
    return np.concatenate([spectrogram.add(mono), spectrogram.end()]).astype(np.float16)


def chroma(mono: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return the chroma (n / 8, 24) of a whole song."""
    chromagram = Chromagram()
    return np.concatenate([chromagram.add(mono), chromagram.end()]).astype(np.float16)


def save(
    target: Path,
    mono: NDArray[np.float32],
    beats: list[float],
    downbeats: list[float],
    style: str,
) -> None:
    """Save a song's levels, chroma, beats and downbeats (s)."""
    unfinished = target.with_suffix(".part.npz")
    np.savez(
        unfinished,
        levels=levels(mono),
        chroma=chroma(mono),
        beats=np.array(beats, np.float64),
        downbeats=np.array(downbeats, np.float64),
        style=style,
    )
    unfinished.rename(target)


def compose(folder: Path, first: int, last: int, synthetic: bool) -> None:
    """Compose, render and save the songs with seeds from `first` to `last` - 1."""
    render = rendering.synthesize if synthetic else rendering.render
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, last):
        target = folder / f"composed-{seed:05d}.npz"
        if not target.exists():
            song = composing.compose(seed)
            mono = render(song, seed)
            save(target, mono, list(song.beats), list(song.downbeats), song.style)


def make_plain(folder: Path, beaten: int, beatless: int) -> None:
    """Make and save plain examples with beats, and others without."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(beaten):
        rng = np.random.default_rng([seed, 16])
        target = folder / f"beaten-{seed:05d}.npz"
        if not target.exists():
            # Later examples have extreme tempi, which are rare in the whole range.
            edges = (40.0, 240.0), (190.0, 243.0), (39.0, 62.0)
            edge = 0 if seed < FIRST_EDGE else 1 + seed % 2
            save(target, *plain.beaten(rng, *edges[edge]), "plain")
    for seed in range(beatless):
        rng = np.random.default_rng([seed, 17])
        target = folder / f"beatless-{seed:05d}.npz"
        if not target.exists():
            save(target, plain.beatless(rng), [], [], "beatless")


def read(folder: Path, source: Path) -> None:
    """Save as examples the pieces in a folder that tools.music rendered."""
    folder.mkdir(parents=True, exist_ok=True)
    for truth in sorted(source.rglob("*.json")):
        target = folder / f"piece-{truth.stem}.npz"
        audio = [truth.with_suffix(end) for end in (".flac", ".wav", ".mp3", ".ogg")]
        audio = [path for path in audio if path.exists()]
        if target.exists() or not audio:
            continue
        annotations = json.loads(truth.read_text())
        if not annotations["beats"]:
            continue
        samples, rate = soundfile.read(audio[0], dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)
        save(
            target,
            mono,
            annotations["beats"],
            annotations["downbeats"],
            annotations.get("style", ""),
        )
