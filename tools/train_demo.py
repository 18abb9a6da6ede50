"""Train the demo model: render songs, train on them, export the weights.

    python tools/train_demo.py render --songs 200
    python tools/train_demo.py train --minutes 140
    python tools/train_demo.py export

Rendering and training may run at the same time: training picks up new songs.
"""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from serve_app.separation import allocator  # noqa: E402
from tools.demo_training import exporting, songs, training  # noqa: E402
from tools.demo_training.mixing import Recipe  # noqa: E402

ASSET = ROOT / "serve_app" / "separation" / "assets" / "demo.safetensors"


def render(options: argparse.Namespace) -> None:
    """Render the songs missing in the folder, equally many of each kind."""
    folder = options.folder / "songs"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.songs):
        for kind in options.kinds:
            songs.write(kind, options.first + seed, folder)
        print(f"song {seed + 1} of {options.songs}", end="\r", flush=True)
    print()


def train(options: argparse.Namespace) -> None:
    """Train, or resume training, for a number of minutes."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    recipe = Recipe(options.folder / "songs", samples=options.samples)
    plan = training.Plan(
        recipe,
        options.folder,
        seconds=options.minutes * 60,
        batch=options.batch,
        rate=options.rate,
        score_seconds=options.score_minutes * 60,
    )
    trainer = training.Trainer(plan)
    if options.start is not None:
        trainer.start_from(options.start)
    if options.resume:
        trainer.resume()
    training.train(trainer, options.folder / "heldout")


def export(options: argparse.Namespace) -> None:
    """Write the averaged weights of a checkpoint into the package."""
    state = torch.load(options.folder / "checkpoint.pt", weights_only=True)
    size = exporting.export(
        state["average"],
        options.to,
        steps=state["progress"]["steps"],
        today=datetime.datetime.now(datetime.UTC).date(),
    )
    print(f"{options.to}: {size} bytes")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument(
        "--folder", type=Path, default=Path("data/demo"), help="working folder"
    )
    commands = top.add_subparsers(required=True)
    one = commands.add_parser("render", help=render.__doc__)
    one.set_defaults(run=render)
    one.add_argument("--songs", type=int, default=200, help="of each kind")
    one.add_argument("--kinds", nargs="+", choices=songs.KINDS, default=songs.KINDS)
    one.add_argument("--first", type=int, default=0, help="seed of the first song")
    two = commands.add_parser("train", help=train.__doc__)
    two.set_defaults(run=train)
    two.add_argument("--minutes", type=float, default=90)
    two.add_argument("--score-minutes", type=float, default=15)
    two.add_argument("--batch", type=int, default=2)
    two.add_argument(
        "--samples", type=int, default=131_072, help="length of an example"
    )
    two.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    two.add_argument("--threads", type=int, default=1)
    two.add_argument("--seed", type=int, default=0)
    two.add_argument("--start", type=Path, help="exported weights to start from")
    two.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint"
    )
    three = commands.add_parser("export", help=export.__doc__)
    three.set_defaults(run=export)
    three.add_argument("--to", type=Path, default=ASSET)
    return top


def main(arguments: Sequence[str]) -> None:
    """Run one command."""
    options = parser().parse_args(arguments)
    if options.run is train:
        allocator.restart_tuned()
    options.run(options)


if __name__ == "__main__":
    main(sys.argv[1:])
