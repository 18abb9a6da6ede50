"""Peak memory of a whole song's way, decode to encode, for songs of several lengths.

Each length runs in a process of its own, as a Separator replica would, on the model in
the box. `python benchmarks/memory.py --minutes 3 60`
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Event

import numpy as np
import soundfile

from serve_app.audio import formats
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.engines import load_engine
from serve_app.pipeline import SongTask, separate_song
from serve_app.separation import allocator
from serve_app.settings import Settings

_RATE = 44_100


def main() -> None:
    """Measure each length and print the ratio of the longest to the shortest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 60.0])
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(peak_mebibytes(options.one)))
        return
    peaks = {minutes: _measured(minutes) for minutes in sorted(options.minutes)}
    for minutes, peak in peaks.items():
        print(f"{minutes:6.1f} min: peak {peak:7.0f} MiB")
    first, *_, last = peaks.values()
    print(f"longest / shortest: {last / first:.3f}")


def _measured(minutes: float) -> float:
    command = [sys.executable, __file__, "--one", str(minutes)]
    environment = {**os.environ, allocator.VARIABLE: allocator.TUNABLES}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(json.loads(done.stdout))


def peak_mebibytes(minutes: float) -> float:
    """Separate `minutes` of music with the demo model; return this process's peak."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "song.flac"
        _write_song(source, minutes)
        facts = measure(source, AudioLimits(max_duration_seconds=4 * 3600))
        with load_engine(Settings(), "demo") as engine:
            stems = engine.spec.sources
            target = Path(name) / "stems"
            task = SongTask(source, facts, stems, formats.parse("wav"), target)
            separate_song(engine, task, lambda _: None, Event())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write_song(path: Path, minutes: float) -> None:
    """Write tones and noise, a second at a time."""
    random = np.random.default_rng(0)
    time = np.arange(_RATE) / _RATE
    with soundfile.SoundFile(path, "w", _RATE, 2, "PCM_16") as file:
        for _ in range(round(minutes * 60)):
            noise = random.standard_normal((_RATE, 2)) * 0.02
            tone = 0.2 * np.sin(2 * np.pi * random.integers(80, 800) * time)
            file.write((noise + tone[:, None]).astype(np.float32))


if __name__ == "__main__":
    main()
