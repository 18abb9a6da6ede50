"""Steps of the beat training: python -m tools.beat_training; see docs/beat-model.md."""

import argparse
from pathlib import Path

from tools.beat_training import examples


def main() -> None:
    """Run one step of the training of the beat and bar networks."""
    parser = argparse.ArgumentParser(prog="python -m tools.beat_training")
    steps = parser.add_subparsers(dest="step", required=True)
    compose = steps.add_parser("compose")
    compose.add_argument("folder", type=Path)
    compose.add_argument("first", type=int)
    compose.add_argument("last", type=int)
    compose.add_argument("--synthetic", action="store_true")
    plain = steps.add_parser("plain")
    plain.add_argument("folder", type=Path)
    plain.add_argument("--beaten", type=int, default=240)
    plain.add_argument("--beatless", type=int, default=60)
    read = steps.add_parser("read")
    read.add_argument("folder", type=Path)
    read.add_argument("source", type=Path)
    train = steps.add_parser("train")
    train.add_argument("folders", type=Path, nargs="+")
    train.add_argument("--target", type=Path, required=True)
    train.add_argument("--minutes", type=float, default=35)
    train.add_argument("--channels", type=int, default=32)
    train.add_argument("--start", type=Path)
    train.add_argument("--rate", type=float, default=3e-3)
    train.add_argument("--seed", type=int, default=0)
    bars = steps.add_parser("bars")
    bars.add_argument("folders", type=Path, nargs="+")
    bars.add_argument("--target", type=Path, required=True)
    bars.add_argument("--beats", type=Path, required=True, help="weights for beats")
    bars.add_argument("--steps", type=int, default=1_500)
    bars.add_argument("--networks", type=int, default=4)
    options = parser.parse_args()
    if options.step == "compose":
        examples.compose(options.folder, options.first, options.last, options.synthetic)
    elif options.step == "plain":
        examples.make_plain(options.folder, options.beaten, options.beatless)
    elif options.step == "read":
        examples.read(options.folder, options.source)
    elif options.step == "bars":
        from tools.beat_training import bars as bar_training

        bar_training.train(
            options.folders,
            options.target,
            options.beats,
            options.steps,
            options.networks,
        )
    else:
        # Imported here, as torch takes seconds to import and only training needs it.
        from tools.beat_training import training

        training.train(
            options.folders,
            options.target,
            options.minutes,
            options.channels,
            options.start,
            options.rate,
            options.seed,
        )


if __name__ == "__main__":
    main()
