"""Native Instruments Stems: one mp4 of a mix and four stems.

Source: Native Instruments, "Stem File Specification" (native-instruments.com/stems).
The file has five stereo tracks in AAC or ALAC, the mix first. The box `stem` in
`moov/udta` is JSON with the names and colours of the stems, and the compressor and the
limiter that a player applies to their sum. Both are off here, because the stems
already add up to the mix.
"""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.decode import BLOCK_SAMPLES, opened, regrouped
from serve_app.audio.encode import encoded_rate
from serve_app.audio.formats import FORMATS
from serve_app.audio.multitrack import CODECS, MultitrackEncoder
from serve_app.audio.resample import exactly, resampled
from serve_app.stems.exports import mp4_boxes
from serve_app.stems.exports.files import whole
from serve_app.stems.exports.track import Track

Wave = NDArray[np.float32]

# The order of Native Instruments' Stem Creator, with the default colours of Mixxx and
# Traktor.
STEMS = ("drums", "bass", "other", "vocals")
_COLOURS = ("#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_REST = "other"

_MASTERING = {
    "compressor": {
        "enabled": False,
        "input_gain": 0.0,
        "output_gain": 0.0,
        "threshold": 0.0,
        "dry_wet": 50,
        "attack": 0.003,
        "release": 0.3,
        "ratio": 3.0,
        "hp_cutoff": 20,
    },
    "limiter": {
        "enabled": False,
        "threshold": 0.0,
        "ceiling": 0.0,
        "release": 0.05,
    },
}


def write(
    track: Track,
    mix: Path,
    stems: Mapping[str, Path],
    target: Path,
    *,
    codec: str = "aac",
    mix_gain: float = 1.0,
) -> None:
    """Write the mix and the stems as `.stem.mp4`.

    `drums`, `bass` and `vocals` are required; all other stems are summed as `other`.
    `mix_gain` is the gain of the stems, applied to the mix. Memory grows by FFmpeg's
    index alone, half a MB per minute of AAC. While `target` is written, a temporary
    file of the same size is beside it. Stems at another rate, which their codec may
    require, are resampled to the mix's rate. Raises ValueError for an unsupported codec
    or set of stems, and if the length of a stem at the mix's rate differs from it.
    """
    if codec not in CODECS:
        raise ValueError(f'"codec" must be one of {", ".join(CODECS)}, got {codec!r}')
    if codec == "aac" and encoded_rate(FORMATS["m4a"], track.sample_rate) != (
        track.sample_rate
    ):
        raise ValueError(
            f"AAC does not support {track.sample_rate} Hz. Choose the export "
            '"stem.mp4-alac".'
        )
    unlabelled = target.with_name(f"{target.name}.part")
    try:
        _encode(track, mix, _grouped(stems), unlabelled, codec, mix_gain)
        stem = mp4_boxes.box(b"stem", manifest().encode())
        user_data = mp4_boxes.metadata(track.tagged) + stem
        with whole(target):
            mp4_boxes.rewrite(unlabelled, target, user_data)
    finally:
        unlabelled.unlink(missing_ok=True)


def manifest() -> str:
    """Return the JSON of the `stem` box."""
    stems = [
        {"name": name.capitalize(), "color": colour}
        for name, colour in zip(STEMS, _COLOURS, strict=True)
    ]
    return json.dumps({"mastering_dsp": _MASTERING, "stems": stems, "version": 1})


def _grouped(stems: Mapping[str, Path]) -> list[list[Path]]:
    """Return the files of each of STEMS, whose sum it is."""
    named = [name for name in STEMS if name != _REST]
    missing = [name for name in named if name not in stems]
    rest = [path for name, path in stems.items() if name not in named]
    if missing or not rest:
        wanted = ", ".join(STEMS)
        raise ValueError(
            f"A stem.mp4 needs the stems {wanted}; this song has {', '.join(stems)}."
        )
    return [rest if name == _REST else [stems[name]] for name in STEMS]


def _encode(
    track: Track,
    mix: Path,
    groups: Sequence[Sequence[Path]],
    target: Path,
    codec: str,
    mix_gain: float,
) -> None:
    encoder = MultitrackEncoder(target, codec, track.sample_rate, 1 + len(groups))
    try:
        for blocks in _blocks(track, mix, groups, mix_gain):
            encoder.write(blocks)
    except BaseException:
        encoder.abort()
        raise
    encoder.close()


def _blocks(
    track: Track, mix: Path, groups: Sequence[Sequence[Path]], mix_gain: float
) -> Iterator[list[Wave]]:
    paths = [mix, *(path for group in groups for path in group)]
    with ExitStack() as stack:
        sources = [stack.enter_context(closing(_read(path, track))) for path in paths]
        for blocks in zip_longest(*sources):
            if len({None if block is None else block.shape for block in blocks}) > 1:
                raise ValueError(
                    "The stems and the song differ in length. Separate the song again."
                )
            waves = iter(blocks)
            yield [
                next(waves) * np.float32(mix_gain),
                *(_sum([next(waves) for _ in group]) for group in groups),
            ]


def _read(path: Path, track: Track) -> Generator[Wave, None, None]:
    """Yield a file in blocks of BLOCK_SAMPLES at the track's rate."""
    with opened(path) as song:
        blocks = song.blocks(BLOCK_SAMPLES)
        # The rate is certain only after the first block.
        first = next(blocks, None)
        if first is None:
            return
        whole = chain([first], blocks)
        if song.sample_rate == track.sample_rate:
            yield from whole
            return
        ours = resampled(whole, song.sample_rate, track.sample_rate)
        yield from regrouped(exactly(ours, track.samples), BLOCK_SAMPLES)


def _sum(waves: Sequence[Wave]) -> Wave:
    total = waves[0]
    for wave in waves[1:]:
        total = total + wave
    return total
