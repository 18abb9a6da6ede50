"""Decode damaged media files as the server decodes uploads, and count the outcomes.

    python -m tools.fuzz_media [--files 11000] [--seed 1] [--keep DIRECTORY]

Songs in every accepted format are damaged in one to eight places: bits flipped, bytes
overwritten, removed, duplicated or replaced by those of another format, numbers
replaced by extreme values, ends cut off. File `n` of a seed is always the same. Each is
measured like an upload, in a process of its own. The exit code is 1 if any file timed
out or failed, which would be a 5xx response. A crash of the decoder is a refusal (422)
with a count of its own. `--keep` saves files that timed out, failed or crashed it.
"""

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serve_app.audio.isolated import CRASHED, IsolatedMeasure
from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.errors import AppError, AudioTooLong, UnreadableAudio
from tests import media

KINDS = (*media.KINDS, "aac")
TAKEN, REFUSED, TOO_MUCH = "taken", "refused", "too long"
DECODER_CRASHED, TIMED_OUT, FAILED = "decoder crashed", "timed out", "failed"
BAD = (TIMED_OUT, FAILED)

_MOST_PLACES = 8
_MOST_BYTES = 64
# Values at which lengths and counts in a header overflow.
_EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")

_AUDIO_LIMITS = AudioLimits(max_duration_seconds=7200)
_PROCESS_LIMITS = ProcessLimits(30, 2**30, wall_seconds=300)


def songs(directory: Path) -> list[bytes]:
    """Return a short song of each format."""
    found = []
    for kind in KINDS:
        path = directory / kind
        media.write_song(path, kind, seconds=0.5)
        found.append(path.read_bytes())
    return found


def damaged(whole: Sequence[bytes], seed: int, number: int) -> bytes:
    """Return file `number` of a seed."""
    dice = random.Random(f"{seed}/{number}")
    data = bytearray(whole[number % len(whole)])
    for _ in range(dice.randint(1, _MOST_PLACES)):
        size = dice.randint(1, _MOST_BYTES)
        # Half of the damage is in the headers.
        reach = min(len(data), 4096) if dice.random() < 0.5 else len(data)
        start = dice.randrange(max(1, reach))
        _damage(dice, data, whole, slice(start, start + size))
    return bytes(data)


def _damage(
    dice: random.Random, data: bytearray, whole: Sequence[bytes], place: slice
) -> None:
    size = place.stop - place.start
    match dice.randrange(7):
        case 0:
            for index in range(*place.indices(len(data))):
                data[index] ^= 1 << dice.randrange(8)
        case 1:
            data[place] = dice.randbytes(size)
        case 2:
            del data[place]
        case 3:
            data[place.start : place.start] = data[place]
        case 4:
            other = dice.choice(whole)
            start = dice.randrange(len(other))
            data[place] = other[start : start + size]
        case 5:
            data[place.start : place.start + 4] = dice.choice(_EXTREMES)
        case _:
            del data[dice.randrange(len(data) + 1) :]


def outcome(measure: Callable[[Path], object], path: Path) -> str:
    """Return the outcome of measuring a file."""
    try:
        measure(path)
    except UnreadableAudio as err:
        return DECODER_CRASHED if err.detail == CRASHED else REFUSED
    except AudioTooLong:
        return TOO_MUCH
    except AppError:
        return TIMED_OUT
    except Exception as err:
        sys.stderr.write(f"{path.name}: {err}\n")
        return FAILED
    return TAKEN


def run(files: int, seed: int, keep: Path | None = None) -> Counter[str]:
    """Measure `files` files; return the number of files for each outcome."""
    measure = IsolatedMeasure(_AUDIO_LIMITS, _PROCESS_LIMITS)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        whole = songs(directory)

        def measured(number: int) -> str:
            path = directory / f"{seed}-{number}-{KINDS[number % len(KINDS)]}"
            path.write_bytes(damaged(whole, seed, number))
            found = outcome(measure, path)
            if keep is not None and found in (*BAD, DECODER_CRASHED):
                (keep / path.name).write_bytes(path.read_bytes())
            path.unlink()
            return found

        try:
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                return Counter(_shown(threads.map(measured, range(files)), files))
        finally:
            measure.close()


def _shown(ends: Iterator[str], files: int) -> Iterator[str]:
    for count, end in enumerate(ends, 1):
        if count % 1000 == 0:
            sys.stderr.write(f"{count} of {files} files\n")
        yield end


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Damage media files and decode them.")
    parser.add_argument("--files", type=int, default=11_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    ends = run(given.files, given.seed, given.keep)
    for end in (TAKEN, REFUSED, TOO_MUCH, DECODER_CRASHED, TIMED_OUT, FAILED):
        sys.stdout.write(f"{end}: {ends[end]}\n")
    return 1 if any(ends[end] for end in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
