"""Serato's beat grid, as it lies in a GEOB frame of ID3 and as Mixxx reads it.

Jan Holthuis, "serato-tags" (github.com/Holzhaus/serato-tags, docs/serato_beatgrid.md):
two bytes of version, the number of markers in 32 bits, the markers, a byte. Each marker
is a time in seconds, a big-endian float of 32 bits, and then the number of beats up to
the next marker, or of the last one the tempo.
"""

import struct
from itertools import pairwise

from serve_app.stems.exports.offsets import offset_seconds
from serve_app.stems.exports.track import Track

_VERSION = b"\1\0"


def beat_grid(track: Track) -> bytes:
    """Return the grid in Serato's time of the track's file; nothing without a pulse."""
    grid = track.grid()
    if not grid:
        return b""
    offset = offset_seconds("serato", track.codec)
    markers = []
    for segment, following in pairwise(grid):
        seconds = following.start_seconds - segment.start_seconds
        beats = max(1, round(seconds / segment.beat_seconds))
        markers.append(struct.pack(">fI", segment.start_seconds + offset, beats))
    last = grid[-1]
    markers.append(struct.pack(">ff", last.start_seconds + offset, last.bpm))
    return _VERSION + struct.pack(">I", len(markers)) + b"".join(markers) + b"\0"
