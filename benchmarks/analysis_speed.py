"""Speed and peak memory of the analysis, compared with plain librosa on the same mp3.

    python benchmarks/analysis_speed.py [--seconds 210] [--rounds 3] [--check]

Generates the mp3. Each contender runs in its own process, warmed up, with one thread:
`core` is decoding, tempo, beats and key; `all` is the whole analysis, with loudness,
levels, sections and waveform; `librosa` is `librosa.load`, `beat_track` and
`chroma_cqt`. Times are CPU times, medians over rounds in which the contenders take
turns; peaks are relative to the memory after the imports. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

_RATE = 44_100
_BLOCK_SECONDS = 10
_ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    )
}
# The limits of `--check`: least speed relative to librosa, and most of its memory.
_CORE_SPEED, _ALL_SPEED, _MEMORY = 1.5, 1.0, 0.5


def write_song(path: Path, seconds: float) -> None:
    """Write an mp3 of drums, bass and chords at 124 BPM, in F minor."""
    from serve_app.audio import formats
    from serve_app.audio.encode import Encoder

    encoder = Encoder(path, formats.parse("mp3"), _RATE)
    for first in np.arange(0.0, seconds, _BLOCK_SECONDS):
        length = min(_BLOCK_SECONDS, seconds - first)
        encoder.write(_music(first + np.arange(round(length * _RATE)) / _RATE))
    encoder.close()


def _music(time_seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the samples (2, n) of the song at each time."""
    beat = time_seconds * 124 / 60
    rng = np.random.default_rng(int(time_seconds[0]))
    noise = rng.standard_normal((2, len(time_seconds)))
    since = (beat % 1) * 60 / 124
    kick = np.sin(2 * np.pi * (45 * since - 5 * np.exp(-30 * since)))
    snare = noise * np.exp(-18 * since) * (beat % 2 >= 1)
    hat = np.diff(noise, prepend=0) * np.exp(-90 * (since % (30 / 124)))
    root = np.array([41, 37, 44, 39])[(beat // 4 % 4).astype(int)]
    chord = [_tone(root + step, time_seconds) for step in (12, 19, 24, 27, 31)]
    bass = _tone(root - 12, time_seconds) * np.exp(-3 * (since % (30 / 124)))
    mono = 0.3 * kick * np.exp(-9 * since) + 0.06 * np.sum(chord, axis=0) + 0.2 * bass
    return np.asarray(mono + 0.1 * snare + 0.03 * hat, np.float32)


def _tone(
    note: NDArray[np.int_], time_seconds: NDArray[np.float64]
) -> NDArray[np.float64]:
    turns = 440 * 2 ** ((note - 69) / 12) * time_seconds
    return np.asarray(sum(np.sin(2 * np.pi * n * turns) / n**2 for n in range(1, 6)))


def _core() -> Callable[[Path], object]:
    from serve_app.analysis import key
    from serve_app.analysis.chroma import PitchListener
    from serve_app.analysis.downmix import SAMPLE_RATE, Downmix, Samples
    from serve_app.analysis.rhythm import RhythmListener
    from serve_app.stems.reporter import heard

    class Core:
        """Estimates tempo, beats and key, and nothing else."""

        def __init__(self, sample_rate: int, channels: int = 2) -> None:
            self._downmix = Downmix(sample_rate)
            self._rhythm, self._pitches = RhythmListener(), PitchListener()
            self._samples = 0

        def add(self, block: Samples) -> None:
            self._add_mono(self._downmix.add(block))

        def _add_mono(self, mono: Samples) -> None:
            self._samples += len(mono)
            self._rhythm.add(mono)
            self._pitches.add(mono)

        def result(self) -> object:
            self._add_mono(self._downmix.end())
            pitches = self._pitches.result()
            keys = key.keys(pitches, self._samples / SAMPLE_RATE)
            return self._rhythm.result(), keys

    return lambda path: heard(path, Core, Event()).result()


def _all() -> Callable[[Path], object]:
    from serve_app.analysis.song import SongListener
    from serve_app.stems.reporter import heard

    return lambda path: heard(path, SongListener, Event()).finish()


def _librosa() -> Callable[[Path], object]:
    import warnings

    import librosa

    # Warnings about decoders that it tries first.
    warnings.simplefilter("ignore")

    def run(path: Path) -> object:
        wave, rate = librosa.load(path)
        beats = librosa.beat.beat_track(y=wave, sr=rate)
        return beats, librosa.feature.chroma_cqt(y=wave, sr=rate)

    return run


_CONTENDERS = {"core": _core, "all": _all, "librosa": _librosa}


def measured(name: str, song: Path, warm: Path) -> dict[str, float]:
    """Return the CPU seconds, and the peak memory in MiB above that after imports."""
    run = _CONTENDERS[name]()
    imported = memory_mib("VmRSS")
    run(warm)
    # Resets the peak of memory (Linux).
    Path("/proc/self/clear_refs").write_text("5")
    start = time.process_time()
    run(song)
    seconds = time.process_time() - start
    return {"seconds": seconds, "mib": memory_mib("VmHWM") - imported}


def memory_mib(name: str) -> float:
    """Return a figure of /proc/self/status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no field {name}.")


def _apart(name: str, song: Path, warm: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name, str(song), str(warm)]
    environment = {**os.environ, **_ONE_THREAD}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print; with `--check`, exit with an error if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=210.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        name, song, warm = options.one
        print(json.dumps(measured(name, Path(song), Path(warm))))
        return
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in _CONTENDERS}
    with tempfile.TemporaryDirectory() as place:
        song, warm = Path(place) / "song.mp3", Path(place) / "warm.mp3"
        write_song(song, options.seconds)
        write_song(warm, 20.0)
        for _ in range(options.rounds):
            for name, found in runs.items():
                found.append(_apart(name, song, warm))
    broken = _report(runs)
    if options.check and broken:
        sys.exit(f"{broken} of 3 limits were missed.")


def _report(runs: dict[str, list[dict[str, float]]]) -> int:
    """Print a table, and return the number of missed limits."""

    def median(name: str, what: str) -> float:
        return statistics.median(run[what] for run in runs[name])

    print("| | s | times librosa's speed | peak MiB | of librosa's peak |")
    print("|---|---|---|---|---|")
    ratios: dict[str, Any] = {}
    for name in runs:
        seconds, mib = median(name, "seconds"), median(name, "mib")
        speed = median("librosa", "seconds") / seconds
        share = mib / median("librosa", "mib")
        ratios[name] = speed, share
        print(f"| {name} | {seconds:.2f} | {speed:.2f} | {mib:.0f} | {share:.2f} |")
    broken = [
        ratios["core"][0] < _CORE_SPEED,
        ratios["all"][0] < _ALL_SPEED,
        max(ratios["core"][1], ratios["all"][1]) > _MEMORY,
    ]
    return sum(broken)


if __name__ == "__main__":
    main()
