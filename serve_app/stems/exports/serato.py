"""Serato's beat grid, the content of a GEOB frame of ID3, which Mixxx reads too.

Source: Jan Holthuis, "serato-tags" (github.com/Holzhaus/serato-tags,
docs/serato_beatgrid.md). The format is two bytes of version, the number of markers in
32 bits, the markers, and one byte. Each marker is a time in seconds, as a big-endian
32-bit float, and the number of beats to the next marker. The last marker has the tempo
instead.
"""

import struct
from itertools import pairwise

from serve_app.stems.exports.offsets import offset_seconds
from serve_app.stems.exports.track import Track

_VERSION = b"\1\0"


def beat_grid(track: Track) -> bytes:
    """Return the grid in Serato's time of the track's file; empty without a pulse."""
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
