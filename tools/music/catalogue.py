"""The list of pieces; a line has everything needed to make a piece."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

LIST = Path(__file__).with_name("pieces.csv")
PARTS = ("train", "tune", "score")


@dataclass(frozen=True)
class Piece:
    """A line of the list.

    `source` is "composed" or "mma", `style` one of its styles, `tempo` the kind of
    tempo map, `moves` whether it modulates, `sha256` the hash of its MIDI file and its
    annotations.
    """

    name: str
    part: str
    source: str
    style: str
    seed: int
    bpm: float
    tonic: int
    mode: str
    moves: bool
    tempo: str
    seconds: int
    silence: float
    pickup: int
    cents: int
    soundfont: str
    mastering: str
    stems: bool
    sha256: str


def read(path: Path = LIST) -> list[Piece]:
    """Read the list of pieces."""
    with path.open(newline="") as file:
        return [_parsed(row) for row in csv.DictReader(file)]


def write(pieces: Iterable[Piece], path: Path = LIST) -> None:
    """Write a list of pieces."""
    with path.open("w", newline="") as file:
        columns = [field.name for field in fields(Piece)]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for piece in pieces:
            row = asdict(piece)
            row["moves"], row["stems"] = int(piece.moves), int(piece.stems)
            writer.writerow(row)


def _parsed(row: dict[str, str]) -> Piece:
    return Piece(
        name=row["name"],
        part=row["part"],
        source=row["source"],
        style=row["style"],
        seed=int(row["seed"]),
        bpm=float(row["bpm"]),
        tonic=int(row["tonic"]),
        mode=row["mode"],
        moves=row["moves"] == "1",
        tempo=row["tempo"],
        seconds=int(row["seconds"]),
        silence=float(row["silence"]),
        pickup=int(row["pickup"]),
        cents=int(row["cents"]),
        soundfont=row["soundfont"],
        mastering=row["mastering"],
        stems=row["stems"] == "1",
        sha256=row["sha256"],
    )
