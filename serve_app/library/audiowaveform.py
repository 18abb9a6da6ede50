"""Waveforms in the JSON of audiowaveform, version 2.

https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
"""

from typing import Any

from serve_app.library.peaks import Found

_VERSION, _BITS, _FULL_SCALE = 2, 8, 127


def of(found: Found) -> dict[str, Any]:
    """Return peaks as minima and maxima of 8 bits, symmetric about 0."""
    data = [
        sign * round(peak * _FULL_SCALE) for peak in found.peaks for sign in (-1, 1)
    ]
    return {
        "version": _VERSION,
        "channels": 1,
        "sample_rate": found.sample_rate,
        "samples_per_pixel": max(1, found.samples // len(found.peaks)),
        "bits": _BITS,
        "length": len(found.peaks),
        "data": data,
    }
