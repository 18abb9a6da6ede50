"""Build the image in directories, and try it. For root, on Debian.

    python -m tools.image WORK --base DIRECTORY [--build-arg NAME=VALUE]… [--no-try]

Carries out the steps of the Dockerfile in WORK, prints the size of each layer, and
writes the bill of materials to WORK/sbom.json. Then starts the image with a read-only
root, without a network and as its own user, and separates a song with it.
`scripts/try_image.sh` makes the base.
"""

import argparse
import sys
from pathlib import Path

from tools.image import building, dockerfile, sbom, trying
from tools.image.building import Image, Place

_CONTEXT = Path(__file__).parents[2]
_MEGABYTE = 1_000_000


def main() -> int:
    """Run the command; return its exit status."""
    options = _parse()
    build_args = dict(each.split("=", 1) for each in options.build_arg)
    source = dockerfile.read((_CONTEXT / "Dockerfile").read_text(), build_args)
    work = options.work.resolve()
    image = building.build(
        source, Place(_CONTEXT, options.base.resolve(), work), build_args
    )
    _print_layers(image)
    (work / "sbom.json").write_text(sbom.of_root(image.root))
    if options.no_try:
        return 0
    try:
        with trying.container(image, work) as container:
            trying.check_contents(container)
            trying.check_service(container)
    except trying.ImageFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _print_layers(image: Image) -> None:
    for layer in image.layers:
        words = " ".join(layer.instruction.split())
        print(f"{layer.size_bytes / _MEGABYTE:9.1f} MB  {words:.70}")
    total = sum(layer.size_bytes for layer in image.layers)
    print(f"{total / _MEGABYTE:9.1f} MB  in all")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.image")
    parser.add_argument("work", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--build-arg", action="append", default=[])
    parser.add_argument("--no-try", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
