"""Beats for Mixxx, as SQL for its library: Mixxx imports no files of beats.

The messages are those of `src/proto/beats.proto` in mixxxdj/mixxx. A constant grid is
`BeatGrid-2.0`, with a tempo and the position of the first beat. All others are
`BeatMap-1.0`, with the position of every beat. Positions are in frames (samples per
channel).
"""

import struct
from string import Template

from serve_app.stems.exports.offsets import offset_seconds
from serve_app.stems.exports.text import plain
from serve_app.stems.exports.track import Track, beat_times

_SQL = Template(
    """\
UPDATE library
SET bpm = $bpm, beats = X'$blob', beats_version = '$version', beats_sub_version = ''
WHERE abs(duration - $seconds) < 1
  AND location IN (SELECT id FROM track_locations WHERE filename = '$name');
"""
)

GRID, MAP = "BeatGrid-2.0", "BeatMap-1.0"


def beats(track: Track) -> tuple[str, bytes]:
    """Return the version and the bytes of the beats; both are empty without a pulse."""
    grid = track.grid()
    offset = offset_seconds("mixxx", track.codec)
    if not grid:
        return "", b""
    if len(grid) > 1:
        places = [time + offset for time, _ in beat_times(track)]
        return MAP, b"".join(_field(1, _beat(track, place)) for place in places)
    bpm = _field(1, _double(1, grid[0].bpm))
    return GRID, bpm + _field(2, _beat(track, grid[0].start_seconds + offset))


def render(track: Track) -> bytes:
    """Return SQL for Mixxx's `mixxxdb.sqlite`, to run while Mixxx is closed.

    It sets the tempo and the beats of all tracks with this file name whose length
    differs by less than a second. Without a pulse it changes nothing.
    """
    version, blob = beats(track)
    if not blob:
        return b"-- No pulse was found in this song.\n"
    return _SQL.substitute(
        bpm=float(track.bpm),
        blob=blob.hex(),
        version=version,
        seconds=f"{track.duration_seconds:.3f}",
        # The only untrusted text, with its quotes escaped.
        name=plain(track.file_name).replace("'", "''"),
    ).encode()


def _beat(track: Track, seconds: float) -> bytes:
    # Mixxx needs beats on whole frames.
    return _double(1, round(seconds * track.sample_rate))


def _double(number: int, value: float) -> bytes:
    """Return a protobuf field of 64 bits."""
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def _field(number: int, content: bytes) -> bytes:
    """Return a protobuf field of bytes, fewer than 128."""
    return bytes([number << 3 | 2, len(content)]) + content
