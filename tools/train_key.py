"""Train the key network: prepare songs, train and export, compare.

    python tools/train_key.py hear --songs 1000 --synthesised 200 --rock 300
    python tools/train_key.py hear --remixes 166 --unpitched 100
    python tools/train_key.py hear --pieces /music/train
    python tools/train_key.py hear --pieces /music/real
    python tools/train_key.py train
    python tools/train_key.py compare --pieces /music/tune

The soundfonts are Debian's fluid-soundfont-gm and timgm6mb-soundfont; espeak-ng makes
the speech. `train` writes serve_app/analysis/weights/key.npz; an eighth of the composed
songs is held out. `compare` prints the accuracy and the MIREX score of the network and
of published profiles, and the network's accuracy by confidence.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from serve_app.analysis import key as finder  # noqa: E402
from serve_app.analysis import scores  # noqa: E402
from serve_app.analysis.chroma import Pitches  # noqa: E402
from tools.key_training import composing, profiles, songs, training  # noqa: E402
from tools.key_training.exporting import export, read  # noqa: E402
from tools.key_training.network import KeyNetwork  # noqa: E402
from tools.key_training.songs import Heard  # noqa: E402
from tools.music import field  # noqa: E402

WEIGHTS = ROOT / "serve_app" / "analysis" / "weights" / "key.npz"
SOUNDFONTS = [
    Path("/usr/share/sounds/sf2") / name for name in ("FluidR3_GM.sf2", "TimGM6mb.sf2")
]


def hear(options: argparse.Namespace) -> None:
    """Compose or read songs, and save the pitches that the analysis finds in them."""
    options.folder.mkdir(parents=True, exist_ok=True)
    first = songs.FIRST_SYNTHESISED
    rock = composing.FIRST_ROCK
    seeds = [
        *range(options.songs),
        *range(first, first + options.synthesised),
        *range(rock, rock + options.rock),
    ]
    for seed in seeds:
        if not (options.folder / f"composed_{seed:05d}.npz").exists():
            songs.composed(seed, SOUNDFONTS).save(options.folder)
    for seed in range(options.remixes):
        if not (options.folder / f"remix_{seed:05d}.npz").exists():
            songs.remix(seed, SOUNDFONTS).save(options.folder)
    for seed in range(options.unpitched):
        songs.unpitched(seed, SOUNDFONTS).save(options.folder)
    for truth in sorted(options.pieces.glob("*.json")) if options.pieces else ():
        heard = songs.piece(truth)
        if heard is not None:
            heard.save(options.folder)


def train(options: argparse.Namespace) -> None:
    """Train on the saved songs and write the weights."""
    torch.set_num_threads(1)
    composed, left_out = _composed(options.folder)
    pieces = list(_load(options.folder, "train_*"))
    learnt = [row.name for row in field.rows() if row.half == "learn"]
    real = [
        song
        for pattern in ("remix_*", *learnt)
        for song in _load(options.folder, pattern)
        if song.notes.any()
    ]
    unpitched = [
        song
        for song in _load(options.folder, "unpitched_*")
        if song.in_tune > finder.UNTUNED  # Others are not passed to the network.
    ]
    sources = [
        training.Source(group, share)
        for group, share in zip(
            (composed, pieces, real, unpitched), options.shares, strict=True
        )
        if group and share
    ]

    def report(step: int, loss: float, network: KeyNetwork) -> None:
        export(network, options.weights)
        right = np.mean([_is_right(network, song) for song in left_out])
        print(
            f"step {step}: {loss=:.3f}, {right:.3f} right of held-out songs", flush=True
        )

    plan = training.Plan(
        sources,
        [*composed, *(real if options.shares[2] else ())],
        options.steps,
        options.votes,
        options.patchworks,
        options.seed,
        options.rate,
    )
    start = read(options.start, training.DROPOUT) if options.start else None
    export(training.train(plan, report, start), options.weights)


def compare(options: argparse.Namespace) -> None:
    """Print the accuracy of the network and of published profiles."""
    if options.pieces:
        files = sorted(options.pieces.glob("*.json"))
        known = [(file, key) for file in files if (key := songs.key_in(file))]
        heard = [song for file, _ in known if (song := songs.piece(file))]
        # The written key, even if a song tuned about half a semitone off is heard as
        # the neighbouring one.
        truth = [songs.key_of(key) for _, key in known]
    else:
        _, heard = _composed(options.folder)
        truth = [_longest(song) for song in heard]
    print(f"{len(heard)} songs: exact, MIREX")
    for row, name in enumerate(profiles.PROFILES):
        told = [int(profiles.fits(_chroma(song))[row].argmax()) for song in heard]
        _print(name, told, truth)
    answers = [_told(song) for song in heard]
    _print("network", [key.tonic + 12 * key.is_minor for key in answers], truth)
    right = np.array([key.tonic + 12 * key.is_minor for key in answers]) == truth
    sure = np.array([key.confidence for key in answers])
    for low, high in ((0.0, 0.5), (0.5, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        chosen = right[(sure >= low) & (sure < high)]
        if len(chosen):
            print(f"  {low} to {high}: {chosen.mean():.3f} right of {len(chosen)}")


def _composed(folder: Path) -> tuple[list[Heard], list[Heard]]:
    """Return the composed songs to train on, and the held-out ones."""
    found = list(_load(folder, "composed_*"))
    return [s for i, s in enumerate(found) if i % 8], found[::8]


def _load(folder: Path, pattern: str) -> Iterable[Heard]:
    for path in sorted(folder.glob(f"{pattern}.npz")):
        song = songs.load(path)
        if song.strengths.any():
            yield song


def _is_right(network: KeyNetwork, song: Heard) -> bool:
    strengths = torch.tensor(song.strengths / song.strengths.mean())
    seconds = len(strengths)
    with torch.no_grad():
        logits = network(strengths[None], torch.full((1, seconds), 1 / seconds))
    return int(logits.argmax()) == _longest(song)


def _told(song: Heard) -> finder.Key:
    pitches = Pitches(song.strengths, 0.0, float(song.in_tune))
    return finder.keys(pitches, float(len(song.strengths))).key


def _longest(song: Heard) -> int:
    return int(np.bincount(song.keys).argmax())


def _chroma(song: Heard) -> np.ndarray:
    octaves = np.exp(-(((np.arange(84) - 36) / 24) ** 2))
    weighted = song.strengths.sum(axis=0) * octaves
    return np.asarray(weighted.reshape(7, 12).sum(axis=0), np.float64)


def _print(name: str, told: Sequence[int], truth: Sequence[int]) -> None:
    exact = np.mean([a == b for a, b in zip(told, truth, strict=True)])
    mirex = np.mean(
        [
            scores.mirex(songs.name_of(a), songs.name_of(b))
            for a, b in zip(told, truth, strict=True)
        ]
    )
    print(f"  {name:10} {exact:.3f} {mirex:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "key")
    commands = parser.add_subparsers(required=True)
    for command in (hear, train, compare):
        sub = commands.add_parser(command.__name__, help=command.__doc__)
        sub.set_defaults(run=command)
        if command is not train:
            sub.add_argument("--pieces", type=Path)
    hearing, learning = commands.choices["hear"], commands.choices["train"]
    for kind in ("songs", "synthesised", "rock", "remixes", "unpitched"):
        hearing.add_argument(f"--{kind}", type=int, default=0)
    learning.add_argument("--steps", type=int, default=1_600)
    learning.add_argument("--votes", type=float, default=0.5)
    learning.add_argument("--patchworks", type=float, default=0.3)
    learning.add_argument(
        "--shares",
        type=float,
        nargs=4,
        default=(0.4, 0.3, 0.25, 0.05),
        help="of composed songs, pieces of `train`, real music, and songs without key",
    )
    learning.add_argument("--seed", type=int, default=0)
    learning.add_argument("--rate", type=float, default=training.RATE)
    learning.add_argument("--start", type=Path, help="weights to start from")
    learning.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
