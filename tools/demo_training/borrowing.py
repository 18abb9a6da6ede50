"""Songs from Freedoom, with music under the BSD licence."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np

GAMES = tuple(
    Path("/usr/share/games/doom") / name for name in ("freedoom1.wad", "freedoom2.wad")
)
MIDI_MAGIC = b"MThd"
# A WAD file: magic, number of lumps, offset of their list; a lump's offset, size, name.
HEADER = struct.Struct("<4sii")
ENTRY = struct.Struct("<ii8s")
SHORTEST_SECONDS = 20.0


def borrow(rng: np.random.Generator) -> mido.MidiFile:
    """Return a random piece of Freedoom's music."""
    pieces = [piece for game in GAMES for piece in _lumps(game)]
    while True:
        piece = mido.MidiFile(file=io.BytesIO(pieces[rng.integers(len(pieces))]))
        if piece.length > SHORTEST_SECONDS:
            return piece


def _lumps(game: Path) -> Iterator[bytes]:
    """Yield the MIDI files in a game's WAD file."""
    if not game.exists():
        raise FileNotFoundError(f"{game} is missing: apt-get install freedoom")
    data = game.read_bytes()
    _, count, listed = HEADER.unpack_from(data)
    for index in range(count):
        offset, size, _ = ENTRY.unpack_from(data, listed + index * ENTRY.size)
        if data.startswith(MIDI_MAGIC, offset):
            yield data[offset : offset + size]
