"""Draw the list of pieces: `python -m tools.music.drawing` rewrites pieces.csv.

Pieces are only ever added, so the evaluation set was fixed before any tuning.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np

from tools.music import grooves, making, mastering, styles
from tools.music.catalogue import Piece, write
from tools.music.grooves import GrooveStyle
from tools.music.styles import Style

SEED = 14
# Pieces by part and source.
COUNTS = {
    ("train", "composed"): 130,
    ("train", "mma"): 90,
    ("tune", "composed"): 30,
    ("tune", "mma"): 20,
    ("score", "composed"): 110,
    ("score", "mma"): 70,
}
# The soundfonts of `score` are in no other part.
FONTS = {
    "train": {"FluidR3_GM": 0.55, "TimGM6mb": 0.45},
    "tune": {"FluidR3_GM": 0.4, "TimGM6mb": 0.6},
    "score": {"MuseScore_General": 0.4, "OPL3": 0.3, "Csound_GM": 0.3},
}
_STEMS_OF = {"tune": 15, "score": 30}


def draw() -> list[Piece]:
    """Draw all pieces, without their hashes."""
    pieces = []
    for place, ((part, source), count) in enumerate(COUNTS.items()):
        rng = np.random.default_rng([SEED, place])
        table = styles.STYLES if source == "composed" else grooves.STYLES
        known = [style for style in table.values() if style.part == part]
        # Styles are equally frequent; tonics take turns through all twelve.
        turns = [known[int(i)] for i in _turns(rng, len(known), count)]
        tonics = [int(i) for i in _turns(rng, 12, count)]
        for index, style in enumerate(turns):
            name = f"{part}_{'c' if source == 'composed' else 'm'}{index:03d}"
            pieces.append(_piece(rng, name, part, source, style, tonics[index]))
    return _with_stems(pieces)


def _turns(rng: np.random.Generator, kinds: int, count: int) -> np.ndarray:
    rounds = [rng.permutation(kinds) for _ in range(count // kinds + 1)]
    return np.concatenate(rounds)[:count]


def _piece(
    rng: np.random.Generator,
    name: str,
    part: str,
    source: str,
    style: Style | GrooveStyle,
    tonic: int,
) -> Piece:
    bpm = float(rng.uniform(*style.bpm))
    if rng.random() < 0.3:
        # A tempo outside the style's range, towards the extremes of all tempi.
        bpm *= float(rng.uniform(1.03, 1.15) if bpm > 110 else rng.uniform(0.78, 0.95))
        bpm = float(np.clip(bpm, 40, 215))
    bpm = float(rng.choice([round(bpm), round(bpm, 1), round(bpm, 2)]))
    tempo = str(
        rng.choice(["constant", "drift", "steps", "rubato"], p=[0.76, 0.1, 0.07, 0.07])
    )
    modes = [mode for mode, _ in style.modes]
    weights = np.array([weight for _, weight in style.modes])
    fonts = FONTS[part]
    low, high = (28, 46) if part == "train" else (40, 68)
    seconds = int(rng.integers(low, high))
    if part == "train" and rng.random() < 0.25:
        seconds = int(rng.integers(46, 70))
    return Piece(
        name=name,
        part=part,
        source=source,
        style=style.name,
        seed=int(rng.integers(2**31)),
        bpm=bpm,
        tonic=tonic,
        mode=str(rng.choice(modes, p=weights / weights.sum())),
        moves=bool(rng.random() < 0.3),
        tempo=tempo,
        seconds=seconds,
        silence=_silence(rng),
        pickup=_pickup(rng, source, style),
        cents=int(rng.integers(-50, 51)) if rng.random() < 0.6 else 0,
        soundfont=str(rng.choice(list(fonts), p=list(fonts.values()))),
        mastering=mastering.drawn(rng),
        stems=False,
        sha256="",
    )


def _silence(rng: np.random.Generator) -> float:
    """Draw the silence before the music: mostly short, sometimes seconds."""
    if rng.random() < 0.25:
        return round(float(rng.uniform(0.5, 4.0)), 3)
    return round(float(rng.uniform(0.02, 0.4)), 3)


def _pickup(rng: np.random.Generator, source: str, style: Style | GrooveStyle) -> int:
    if source != "composed" or rng.random() > 0.2:
        return 0
    beats = style.bar[0] if isinstance(style, Style) else 4
    return int(rng.integers(1, max(beats, 2)))


def _with_stems(pieces: list[Piece]) -> list[Piece]:
    """Mark pieces of tune and score, evenly spaced, to be rendered by stem too."""
    marked = {}
    for part, count in _STEMS_OF.items():
        names = [piece.name for piece in pieces if piece.part == part]
        step = len(names) / count
        marked.update({names[int(i * step)]: True for i in range(count)})
    return [replace(piece, stems=piece.name in marked) for piece in pieces]


def _hashed(piece: Piece) -> Piece:
    return replace(piece, sha256=making.write(piece).sha256)


def main() -> None:
    """Write the list with each piece's hash."""
    with ProcessPoolExecutor(2) as pool:
        write(pool.map(_hashed, draw(), chunksize=8))


if __name__ == "__main__":
    main()
