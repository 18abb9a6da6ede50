"""The steps of the library that stemserve replaces, on files of a directory.

    python benchmarks/library_original.py OUT FILE...

A file is read whole and written to a temporary file; its hash is computed in blocks of
4 KiB; its samples are decoded whole, to mono, as floats; its peaks are found slice by
slice. Prints the hash of each file. `benchmarks/library.py` runs it to compare.
"""

import hashlib
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import librosa
import numpy as np

_PEAKS = 4000
_BLOCK_BYTES = 4096


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def waveform(path: Path) -> dict[str, object]:
    """Return the content of a file's waveform."""
    samples, sample_rate = librosa.load(path, sr=None, mono=True)
    size = len(samples) // _PEAKS
    found = []
    for number in range(_PEAKS):
        part = samples[number * size : (number + 1) * size]
        found.append(float(np.max(np.abs(part))))
    largest = max(found)
    return {
        "peaks": [round(peak / largest, 4) if largest else 0.0 for peak in found],
        "duration": len(samples) / sample_rate,
        "sample_rate": int(sample_rate),
        "num_peaks": _PEAKS,
        "created_at": datetime.now(UTC).isoformat(),
    }


def analyze(path: Path, out: Path) -> Path:
    """Hash and analyse a file; return the path of its waveform."""
    content = path.read_bytes()
    stored = out / f"{path.stem}.json"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "original"
        copy.write_bytes(content)
        print(sha256(copy), file=sys.stderr)
        stored.write_text(json.dumps(waveform(copy)))
    return stored


if __name__ == "__main__":
    for name in sys.argv[2:]:
        analyze(Path(name), Path(sys.argv[1]))
