"""Render pieces of the list: `python -m tools.music --part score --out DIR`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tools.music import catalogue, field, making
from tools.music.catalogue import Piece


def make(piece: Piece, out: Path, with_stems: bool) -> str:
    """Render a piece unless it exists; return a line of progress.

    Raises RuntimeError if the composed piece's hash differs from the list's.
    """
    kept = out / f"{piece.name}.json"
    if kept.exists() and json.loads(kept.read_text())["sha256"] == piece.sha256:
        return f"{piece.name} exists"
    began = time.perf_counter()
    written = making.write(piece)
    if piece.sha256 and written.sha256 != piece.sha256:
        raise RuntimeError(
            f"{piece.name} must have the hash {piece.sha256}, got {written.sha256}. "
            "Use the versions of the composer, NumPy and MMA that made the list."
        )
    making.render(piece, written, out, with_stems and piece.stems)
    return f"{piece.name} {piece.style} {time.perf_counter() - began:.1f} s"


def main(arguments: Sequence[str]) -> None:
    """Parse the command line and render the pieces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = [*catalogue.PARTS, *field.PARTS]
    parser.add_argument("--part", choices=parts, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[], help="names of pieces")
    parser.add_argument("--first", type=int, help="number of pieces, evenly spaced")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--stems", action="store_true", help="write stems of pieces that have them"
    )
    options = parser.parse_args(arguments)
    if options.part in field.PARTS:
        field.render(options.part, options.out, options.only)
        return
    pieces = [piece for piece in catalogue.read() if piece.part == options.part]
    if options.only:
        pieces = [piece for piece in pieces if piece.name in options.only]
    if options.first:
        pieces = pieces[:: max(len(pieces) // options.first, 1)][: options.first]
    work = partial(make, out=options.out, with_stems=options.stems)
    if options.jobs == 1:
        for piece in pieces:
            print(work(piece), flush=True)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        for line in pool.map(work, pieces):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
