"""Time and peak memory of the analysis of ten hours of music in one piece.

    python benchmarks/ten_hours.py [--hours 10] [--check]

The music is generated block by block: drums at 127.95 BPM, with a break of two minutes
every quarter of an hour. The analysis is complete, as for any song. The peak is
relative to the memory after a song of ten minutes. Linux only.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import numpy as np  # noqa: E402

from benchmarks.analysis_speed import memory_mib  # noqa: E402
from serve_app.analysis import song  # noqa: E402
from serve_app.analysis.downmix import Samples  # noqa: E402

_RATE, _BPM = 22_050, 127.95
_BLOCK = 65_536
_MOST_MIB, _NEAR_BPM, _NEAR_SECONDS = 500.0, 0.01, 0.005


def music(seconds: float) -> Iterator[Samples]:
    """Yield music of this length in blocks (2, n)."""
    rng = np.random.default_rng(0)
    for first in range(0, round(seconds * _RATE), _BLOCK):
        at = (first + np.arange(_BLOCK)) / _RATE
        beat = at * _BPM / 60
        since = (beat % 1) * 60 / _BPM
        kick = np.sin(2 * np.pi * (50 * since - 6 * np.exp(-25 * since)))
        snare = rng.standard_normal(_BLOCK) * np.exp(-20 * since) * (beat % 2 >= 1)
        hat = rng.standard_normal(_BLOCK) * np.exp(-90 * (since % (30 / _BPM)))
        mono = 0.5 * kick * np.exp(-12 * since) + 0.2 * snare + 0.05 * hat
        mono *= at % 900 < 780
        yield np.asarray(np.stack([mono, mono]), np.float32)


def main() -> None:
    """Measure and print; with `--check`, exit with an error if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    song.analyze(music(600), _RATE)
    before, start = memory_mib("VmHWM"), time.process_time()
    listener = song.SongListener(_RATE)
    for block in music(options.hours * 3600):
        listener.add(block)
    found = listener.finish()
    answer = json.dumps(found.to_dict(), allow_nan=False)
    mib, rhythm = memory_mib("VmHWM") - before, found.rhythm
    print(f"{options.hours:g} h in {time.process_time() - start:.0f} s of one core")
    print(f"peak {mib:.0f} MiB above a song of 10 minutes, {len(answer)} bytes of JSON")
    print(f"bpm {rhythm.bpm:.4f}, {len(rhythm.beats)} beats, grid {rhythm.grid}")
    grid = rhythm.grid
    if options.check and (
        mib > _MOST_MIB
        or grid is None
        or abs(rhythm.bpm - _BPM) > _NEAR_BPM
        or grid.drift_ms > 1000 * _NEAR_SECONDS
    ):
        sys.exit(
            f"A limit was missed: memory {_MOST_MIB:g} MiB, tempo within {_NEAR_BPM} "
            f"BPM, grid within {1000 * _NEAR_SECONDS:g} ms."
        )


if __name__ == "__main__":
    main()
