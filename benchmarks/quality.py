"""Score a model on held-out music: SI-SDR gains over the mix, by stem.

    python benchmarks/quality.py [--model demo] [--json]

The clips are rendered once, into a cache, from the music of OpenTTD, with a soundfont
that was not used to train the demo model.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from serve_app.settings import Settings  # noqa: E402
from serve_app.stems import engines  # noqa: E402
from tools.demo_training import heldout, scoring  # noqa: E402

CACHE = Path(tempfile.gettempdir()) / "stemserve-heldout"


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument(
        "--model", default="demo", help="a name from `stemserve models list`"
    )
    top.add_argument("--cache", type=Path, default=CACHE, help="folder for the clips")
    top.add_argument("--json", action="store_true", help="print every figure as JSON")
    return top


def measure(model: str, cache: Path) -> dict[str, Any]:
    """Return a model's scores: the medians, and those of each clip."""
    clips = heldout.clips(cache)
    engine = engines.load_engine(Settings(), model)
    with engine:
        scores = scoring.evaluate(engine, clips)
    return {
        "model": model,
        "median": scoring.medians(scores),
        "clips": [asdict(score) for score in scores],
    }


def table(report: dict[str, Any]) -> str:
    """Format a report as text: one line per clip, then the medians."""
    names = [*heldout.STEMS, "residual", "vocals"]
    head = f"{'dB':28}" + "".join(f"{name:>10}" for name in names)
    rows = [(one["name"], {**one, **one["gains"]}) for one in report["clips"]]
    rows.append((f"median, {report['model']}", report["median"]))
    lines = [
        f"{name:28}" + "".join(f"{figures[key]:10.2f}" for key in names)
        for name, figures in rows
    ]
    return "\n".join([head, *lines])


def main(arguments: Sequence[str]) -> int:
    """Print a model's scores; return 1 if a program or file is missing."""
    options = parser().parse_args(arguments)
    try:
        report = measure(options.model, options.cache)
    except FileNotFoundError as err:
        print(err, file=sys.stderr)
        return 1
    print(json.dumps(report) if options.json else table(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
