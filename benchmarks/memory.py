"""Peak memory and speed of a song from decoding to encoding, at several lengths.

    python benchmarks/memory.py [--minutes 3 120] [--model demo]

Each length runs in a process of its own, set up like a Separator replica.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event

import numpy as np
import soundfile

from serve_app.audio import formats
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.separation import allocator
from serve_app.settings import Settings
from serve_app.stems.engines import load_engine
from serve_app.stems.pipeline import SongTask, separate_song

_RATE = 44_100


def main() -> None:
    """Measure each length and print the ratio of the longest to the shortest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 120.0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measured(options.one, options.model)))
        return
    peaks = []
    for minutes in sorted(options.minutes):
        peak, seconds = _measured_in_process(minutes, options.model)
        peaks.append(peak)
        speed = 60 * minutes / seconds
        print(f"{minutes:6.1f} min: peak {peak:5.0f} MiB, {speed:5.1f} x real time")
    print(f"longest / shortest: {peaks[-1] / peaks[0]:.3f}")


def _measured_in_process(minutes: float, model: str) -> tuple[float, float]:
    command = [sys.executable, __file__, "--one", str(minutes), "--model", model]
    environment = {**os.environ, allocator.VARIABLE: allocator.TUNABLES}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    peak, seconds = json.loads(done.stdout)
    return peak, seconds


def measured(minutes: float, model: str) -> tuple[float, float]:
    """Separate `minutes` of audio; return the process's peak (MiB) and the seconds."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "song.flac"
        _write_song(source, minutes)
        facts = measure(source, AudioLimits(max_duration_seconds=4 * 3600))
        with load_engine(Settings(), model) as engine:
            stems = engine.spec.sources
            target = Path(name) / "stems"
            task = SongTask(source, facts, stems, formats.parse("wav"), target)
            began = time.perf_counter()
            separate_song(engine, task, lambda _: None, Event())
            seconds = time.perf_counter() - began
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds


def _write_song(path: Path, minutes: float) -> None:
    """Write tones and noise, one second at a time."""
    random = np.random.default_rng(0)
    phase = 2 * np.pi * np.arange(_RATE) / _RATE
    with soundfile.SoundFile(path, "w", _RATE, 2, "PCM_16") as file:
        for _ in range(round(minutes * 60)):
            noise = random.standard_normal((_RATE, 2)) * 0.02
            tone = 0.2 * np.sin(random.integers(80, 800) * phase)
            file.write((noise + tone[:, None]).astype(np.float32))


if __name__ == "__main__":
    main()
