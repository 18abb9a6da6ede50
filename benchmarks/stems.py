"""Whether beats and keys are estimated better from stems than from the whole song.

Used by `benchmarks/analysis.py --stems`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from serve_app.analysis import key, rhythm, scores
from serve_app.analysis.chroma import PitchListener
from serve_app.analysis.downmix import SAMPLE_RATE, Downmix, Samples
from serve_app.analysis.network import Activations, NetworkEngine
from serve_app.analysis.scores import Estimate, Truth
from serve_app.audio import decode
from serve_app.cli.datasets import Song

STEMS = ("drums", "bass", "other", "vocals")
_MIX = "mix"
# The stems whose sums are analysed for beats and for keys; none means the song itself.
_BEATS: Mapping[str, Sequence[str]] = {
    _MIX: (),
    "drums": ("drums",),
    "drums + bass": ("drums", "bass"),
}
_KEYS: Mapping[str, Sequence[str]] = {
    _MIX: (),
    "bass + other": ("bass", "other"),
    "all but drums": ("bass", "other", "vocals"),
}
# For beats: the mean of the activations for the song and for its drums.
_BOTH = "mix and drums"


def files(song: Song, folder: Path = Path()) -> dict[str, Path] | None:
    """Return a song's stems by name, or None if any is missing.

    They are beside the song, where `tools/music` puts them, or in `folder`, where
    `stemserve separate --out` puts them.
    """
    stem = song.path.stem
    found: dict[str, Path | None] = {}
    for name in STEMS:
        paths = (
            [song.path.with_name(f"{stem}.{name}{song.path.suffix}")]
            if folder == Path()
            else [folder / stem / f"{name}{end}" for end in (".wav", ".flac")]
        )
        found[name] = next((path for path in paths if path.is_file()), None)
    complete = {name: path for name, path in found.items() if path is not None}
    return complete if len(complete) == len(STEMS) else None


def heard(song: Song, stems: Mapping[str, Path]) -> dict[str, Estimate]:
    """Return the estimates from each combination of stems and from the song itself."""
    told: dict[str, Estimate] = {}
    activations: dict[str, Activations] = {}
    for name, parts in _BEATS.items():
        activations[name] = _activations(_paths(song, stems, parts))
    activations[_BOTH] = _mean(activations[_MIX], activations["drums"])
    for name, each in activations.items():
        found = rhythm.rhythm(each)
        # Without a pulse, as in the drums of a song without drums, use the song's.
        if found.reason is not None:
            found = rhythm.rhythm(activations[_MIX])
        told[f"beats: {name}"] = Estimate(
            bpm=found.bpm, beats=found.beats, downbeats=found.downbeats
        )
    for name, parts in _KEYS.items():
        keys = _keys(_paths(song, stems, parts))
        told[f"key: {name}"] = Estimate(
            key=keys.key.name, key_confidence=keys.key.confidence
        )
    return told


def _paths(
    song: Song, stems: Mapping[str, Path], parts: Sequence[str]
) -> Sequence[Path]:
    return [stems[part] for part in parts] or [song.path]


def _activations(paths: Sequence[Path]) -> Activations:
    engine = NetworkEngine()
    for block in _mono(paths):
        engine.add(block)
    return engine.activations()


def _keys(paths: Sequence[Path]) -> key.Keys:
    listener = PitchListener()
    seconds = 0.0
    for block in _mono(paths):
        listener.add(block)
        seconds += len(block) / SAMPLE_RATE
    return key.keys(listener.result(), seconds)


def _mono(paths: Sequence[Path]) -> Iterator[Samples]:
    """Yield the mono sum of files of equal length and sample rate."""
    with ExitStack() as stack:
        songs = [stack.enter_context(decode.opened(path)) for path in paths]
        downmix = None
        streams = [song.blocks(decode.BLOCK_SAMPLES) for song in songs]
        for blocks in zip(*streams, strict=False):
            downmix = downmix or Downmix(songs[0].sample_rate)
            samples = min(block.shape[1] for block in blocks)
            yield downmix.add(np.sum([block[:, :samples] for block in blocks], axis=0))
        if downmix is not None:
            yield downmix.end()


def _mean(first: Activations, second: Activations) -> Activations:
    frames = min(len(first.beats), len(second.beats))
    return replace(
        first,
        beats=(first.beats[:frames] + second.beats[:frames]) / 2,
        downbeats=(first.downbeats[:frames] + second.downbeats[:frames]) / 2,
        tempi=(first.tempi + second.tempi) / 2,
    )


def tables(songs: Sequence[Song], told: Sequence[Mapping[str, Estimate]]) -> str:
    """Return Markdown tables of scores, one row per combination of stems.

    In brackets is the improvement over the song itself, with its standard error over
    the songs.
    """
    text = [f"{len(songs)} songs with stems."]
    for kind, measures in _MEASURES.items():
        text.append(
            "\n".join(
                [
                    f"| {kind} by | " + " | ".join(measures) + " |",
                    "|---" * (1 + len(measures)) + "|",
                    *_rows(kind, measures, songs, told),
                ]
            )
        )
    return "\n\n".join(text) + "\n"


Measure = Callable[[Truth, Estimate], float | None]


def _acc1(truth: Truth, told: Estimate) -> float | None:
    if truth.bpm is None or told.bpm is None:
        return None
    return float(scores.is_acc1(told.bpm, truth.bpm))


def _acc2(truth: Truth, told: Estimate) -> float | None:
    if truth.bpm is None or told.bpm is None:
        return None
    return float(scores.is_acc2(told.bpm, truth.bpm))


def _beats(truth: Truth, told: Estimate) -> float | None:
    if truth.beats is None or told.beats is None:
        return None
    return scores.beat_f(told.beats, truth.beats)


def _downbeats(truth: Truth, told: Estimate) -> float | None:
    if truth.downbeats is None or told.downbeats is None:
        return None
    return scores.beat_f(told.downbeats, truth.downbeats)


def _exact(truth: Truth, told: Estimate) -> float | None:
    if truth.key is None or told.key is None:
        return None
    return float(scores.is_key(told.key, truth.key))


def _mirex(truth: Truth, told: Estimate) -> float | None:
    if truth.key is None or told.key is None:
        return None
    return scores.mirex(told.key, truth.key)


_MEASURES: Mapping[str, Mapping[str, Measure]] = {
    "beats": {
        "tempo Acc1": _acc1,
        "tempo Acc2": _acc2,
        "beats F": _beats,
        "downbeats F": _downbeats,
    },
    "key": {"key exact": _exact, "MIREX": _mirex},
}


def _rows(
    kind: str,
    measures: Mapping[str, Measure],
    songs: Sequence[Song],
    told: Sequence[Mapping[str, Estimate]],
) -> Iterator[str]:
    sounds = [name for name in told[0] if name.startswith(f"{kind}: ")]
    for sound in sounds:
        cells = []
        for measure in measures.values():
            pairs = [
                (measure(song.truth, each[sound]), measure(song.truth, each[sounds[0]]))
                for song, each in zip(songs, told, strict=True)
            ]
            cells.append(_cell([pair for pair in pairs if None not in pair]))
        yield f"| {sound.removeprefix(f'{kind}: ')} | " + " | ".join(cells) + " |"


def _cell(pairs: Sequence[tuple[float | None, float | None]]) -> str:
    """Return a score in per cent, as in "87.3 (+1.2 ± 0.8)"."""
    values = 100 * np.array(pairs, float)
    if not len(values):
        return "-"
    better = values[:, 0] - values[:, 1]
    if len(better) < 2 or not better.any():
        return f"{values[:, 0].mean():.1f}"
    error = better.std(ddof=1) / np.sqrt(len(better))
    return f"{values[:, 0].mean():.1f} ({better.mean():+.1f} ± {error:.1f})"
