"""The songs that the clients send."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from serve_app.audio import formats
from serve_app.audio.encode import Encoder
from tools.load.profile import Uploads

_RATE = 44_100
_SEED = 20
# Of the longest: what one window holds, several windows, and what is between.
_LENGTHS = (0.1, 0.25, 0.5, 0.75, 1.0)


def encoded(uploads: Uploads) -> tuple[bytes, ...]:
    """Return songs of changing tones over noise, as files; always the same."""
    lengths = _LENGTHS if uploads.random else (1.0,)
    return tuple(_encoded(uploads, share * uploads.song_seconds) for share in lengths)


def _encoded(uploads: Uploads, seconds: float) -> bytes:
    with TemporaryDirectory() as place:
        path = Path(place) / f"song.{uploads.format}"
        encoder = Encoder(path, formats.parse(uploads.format), _RATE)
        encoder.write(_mix(seconds))
        encoder.close()
        return path.read_bytes()


def _mix(seconds: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return a mix (2, samples)."""
    rng = np.random.default_rng(_SEED)
    samples = max(1, round(seconds * _RATE))
    pitch = np.repeat(rng.uniform(60, 900, samples // _RATE + 1), _RATE)[:samples]
    tones = 0.2 * np.sin(2 * np.pi * pitch * np.arange(samples) / _RATE)
    return (tones + 0.05 * rng.standard_normal((2, samples))).astype(np.float32)
