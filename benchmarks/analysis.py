"""Accuracy of tempo, beats and keys, compared with plain librosa on the same files.

    python benchmarks/analysis.py music/score --misses
    python benchmarks/analysis.py music/score --stems
    STEMSERVE_BEATS=beat-this python benchmarks/analysis.py music/score

Reads the pieces that `tools/music` renders, and the datasets that `stemserve evaluate`
reads. librosa's estimates don't change, so they are cached in `.librosa` folders beside
the files. `--stems` scores estimates from stems beside those from the song itself.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

from benchmarks import stems  # noqa: E402
from serve_app.analysis import scores  # noqa: E402
from serve_app.analysis.scores import Estimate, Figures, Truth  # noqa: E402
from serve_app.audio import decode  # noqa: E402
from serve_app.cli import datasets, evaluation  # noqa: E402
from serve_app.cli.configuration import read_settings  # noqa: E402
from serve_app.cli.datasets import Song  # noqa: E402
from serve_app.stems.beats import ListenerMaker, listener_maker  # noqa: E402

_RATE = 22_050
# Key profiles from the tonic up: Krumhansl and Kessler (1982).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def cached_estimate(path: Path) -> Estimate:
    """Return the estimates of librosa's defaults for a song, cached beside it."""
    cache = path.parent / ".librosa" / f"{path.name}.json"
    if cache.exists():
        kept = json.loads(cache.read_text())
        return Estimate(kept["bpm"], kept["key"], None, tuple(kept["beats"]))
    told = _run_librosa(path)
    cache.parent.mkdir(exist_ok=True)
    cache.write_text(
        json.dumps({"bpm": told.bpm, "key": told.key, "beats": told.beats})
    )
    return told


def _run_librosa(path: Path) -> Estimate:
    import librosa

    with decode.opened(path) as song:
        wave = np.concatenate(list(song.blocks(decode.BLOCK_SAMPLES)), axis=1)
        rate = song.sample_rate
    mono = librosa.resample(wave.mean(axis=0), orig_sr=rate, target_sr=_RATE)
    tempo, beats = librosa.beat.beat_track(y=mono, sr=_RATE, units="time")
    chroma = librosa.feature.chroma_cqt(y=mono, sr=_RATE).mean(axis=1)
    bpm = float(np.atleast_1d(tempo)[0])
    return Estimate(bpm, _krumhansl(chroma), None, tuple(np.round(beats, 4).tolist()))


def _krumhansl(chroma: np.ndarray) -> str:
    """Return the key whose profile correlates best with a chroma."""
    found = {
        f"{_NAMES[tonic]} {mode}": np.corrcoef(chroma, np.roll(profile, tonic))[0, 1]
        for tonic in range(12)
        for mode, profile in (("major", _MAJOR), ("minor", _MINOR))
    }
    return max(found, key=lambda name: found[name])


def stemserve_estimate(path: Path) -> Estimate:
    """Return stemserve's estimates for a song, with the configured engine."""
    return evaluation.told(path, _listener_maker())


@cache
def _listener_maker() -> ListenerMaker:
    """Load the beat engine once per process."""
    return listener_maker(read_settings())


def librosa_estimate(song: Song) -> Estimate:
    """Return librosa's estimates, with the best downbeats that its beats allow.

    librosa has no downbeats: every fourth beat is taken, at the phase that scores best.
    """
    told = cached_estimate(song.path)
    beats, true = told.beats or (), song.truth.downbeats
    if true is None:
        return told
    best = max(range(4), key=lambda phase: scores.beat_f(beats[phase::4], true))
    return Estimate(told.bpm, told.key, None, beats, beats[best::4])


Pairs = list[tuple[Truth, Estimate]]


def tables(
    songs: Sequence[Song], ours: Sequence[Estimate], theirs: Sequence[Estimate]
) -> str:
    """Return all scores as Markdown tables, stemserve's beside librosa's."""
    truths = [song.truth for song in songs]
    columns = [list(zip(truths, told, strict=True)) for told in (ours, theirs)]
    text = ["## All", _side_by_side(columns)]
    kinds = dict.fromkeys(kind for truth in truths for kind in truth.groups)
    for kind in kinds:
        text += [f"## By {kind}", _by_group(columns, kind)]
    return "\n\n".join(text) + "\n"


def _side_by_side(columns: Sequence[Pairs]) -> str:
    ours, theirs = (evaluation.rows(scores.figures(pairs)) for pairs in columns)
    lines = ["| | stemserve | librosa |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {theirs[name]} |" for name, value in ours.items()]
    return "\n".join(lines)


_SHORT: Mapping[str, str] = {
    "acc1": "Acc1",
    "acc2": "Acc2",
    "beat_f": "beats",
    "downbeat_f": "downbeats",
    "key_exact": "key",
    "mirex": "MIREX",
}


def _by_group(columns: Sequence[Pairs], kind: str) -> str:
    names = sorted(
        {truth.groups[kind] for truth, _ in columns[0] if kind in truth.groups}
    )
    lines = [
        f"| {kind} | songs | " + " | ".join(_SHORT.values()) + " |",
        "|---" * (2 + len(_SHORT)) + "|",
    ]
    for name in names:
        figures = [
            scores.figures([pair for pair in pairs if pair[0].groups.get(kind) == name])
            for pairs in columns
        ]
        cells = [_cell(figures, field) for field in _SHORT]
        lines.append(f"| {name} | {figures[0].songs} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figures: Sequence[Figures], field: str) -> str:
    """Return stemserve's score and librosa's, as in "78 / 65"."""
    values = [getattr(each, field) for each in figures]
    return " / ".join("-" if v is None else f"{100 * v:.0f}" for v in values)


def misses(songs: Sequence[Song], told: Sequence[Estimate]) -> str:
    """Return what is wrong, one line per song."""
    lines = []
    for song, estimate in zip(songs, told, strict=True):
        wrong = _wrong(song.truth, estimate)
        if wrong:
            groups = ", ".join(song.truth.groups.values())
            lines.append(f"{song.path.stem} ({groups}): {'; '.join(wrong)}")
    return "\n".join(lines) + "\n"


def _wrong(truth: Truth, told: Estimate) -> list[str]:
    wrong = []
    if truth.bpm is not None and told.bpm is not None:
        error = scores.tempo_error(told.bpm, truth.bpm)
        if error != "right":
            wrong.append(f"tempo {told.bpm:.2f}, should be {truth.bpm:.2f} ({error})")
    for name in ("beats", "downbeats"):
        true, found = getattr(truth, name), getattr(told, name)
        if true is not None and found is not None:
            f = scores.beat_f(found, true)
            if f < 0.7:
                wrong.append(f"{name} F {f:.2f}")
    is_told = truth.key is not None and told.key is not None
    if is_told and not scores.is_key(str(told.key), str(truth.key)):
        sure = (
            f" ({told.key_confidence:.0%})" if told.key_confidence is not None else ""
        )
        weight = scores.mirex(str(told.key), str(truth.key))
        wrong.append(f"key {told.key}{sure}, should be {truth.key} (MIREX {weight})")
    return wrong


def report(
    songs: Sequence[Song], ours: Sequence[Estimate], theirs: Sequence[Estimate]
) -> Any:
    """Return all scores and each song's estimates as JSON."""
    truths = [song.truth for song in songs]
    return {
        "stemserve": asdict(scores.figures(list(zip(truths, ours, strict=True)))),
        "librosa": asdict(scores.figures(list(zip(truths, theirs, strict=True)))),
        "songs": [
            {
                "name": song.path.stem,
                "bpm": [song.truth.bpm, own.bpm, other.bpm],
                "key": [song.truth.key, own.key, other.key],
                "wrong": _wrong(song.truth, own),
            }
            for song, own, other in zip(songs, ours, theirs, strict=True)
        ],
    }


def _stem_scores(songs: Sequence[Song], folder: Path, jobs: int) -> str:
    """Return the scores of stems, over the songs that have all of them."""
    places = {song.path: stems.files(song, folder) for song in songs}
    found = {song.path: song for song in songs if places[song.path]}
    if not found:
        raise SystemExit(
            "No song has its stems beside it or in OUT. Render the songs with "
            "`python -m tools.music --stems`, or separate them."
        )
    files = [places[path] or {} for path in found]
    with ProcessPoolExecutor(jobs) as pool:
        told = list(pool.map(stems.heard, found.values(), files))
    return stems.tables(list(found.values()), told)


def main(arguments: Sequence[str]) -> None:
    """Parse the command line, score the songs and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--only", nargs="+", default=[], help="names of songs")
    parser.add_argument("--misses", action="store_true", help="list wrong estimates")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--stems",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="OUT",
        help="score stems: those beside the songs, or in OUT, the folder that "
        "`stemserve separate --out` wrote",
    )
    options = parser.parse_args(arguments)
    songs = [song for folder in options.folders for song in datasets.read(folder)]
    if options.only:
        songs = [song for song in songs if song.path.stem in options.only]
    if options.stems is not None:
        print(_stem_scores(songs, options.stems, options.jobs))
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        told = list(pool.map(stemserve_estimate, [song.path for song in songs]))
        theirs = list(pool.map(librosa_estimate, songs))
    print(tables(songs, told, theirs))
    if options.misses:
        print(misses(songs, told))
    if options.json:
        options.json.write_text(
            json.dumps(report(songs, told, theirs), indent=1) + "\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
