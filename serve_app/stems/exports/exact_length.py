"""Stems as wavs of exactly the length at which a DJ program decodes the song.

Serato discards stems whose length differs from the track's by a single sample. The
track's length depends on how the program's decoder treats the ends of an mp3.
"""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import FORMATS
from serve_app.stems.exports.files import whole
from serve_app.stems.exports.track import Track

Wave = NDArray[np.float32]

_BLOCK_SAMPLES = 65_536


class Convention(StrEnum):
    """Which samples of an mp3 or an m4a a decoder returns.

    `GAPLESS`: the encoder's input, as stemserve's decoder. `FRAMES`: all frames with
    sound, including the silence that the encoder added at both ends. `FRAMES_AND_TAG`:
    also the tag's frame, as a frame of silence before the others.
    """

    GAPLESS = "gapless"
    FRAMES = "frames"
    FRAMES_AND_TAG = "frames_and_tag"


@dataclass(frozen=True)
class Extent:
    """A program's decoding: the silence before the song, and the total length."""

    lead_samples: int
    samples: int


def extent(track: Track, convention: Convention) -> Extent:
    """Return the extent of the song as a decoder of this convention returns it."""
    facts = track.codec
    if convention is Convention.GAPLESS:
        return Extent(0, track.samples)
    tag = facts.tag_samples if convention is Convention.FRAMES_AND_TAG else 0
    lead = facts.lead_samples + tag
    coded = facts.coded_samples
    return Extent(lead, lead + track.samples if coded is None else coded + tag)


def write(source: Path, target: Path, sample_rate: int, extent: Extent) -> None:
    """Write a stem as a 16-bit wav of exactly this extent.

    The stem is padded with silence at both ends, or cut at its end. The samples between
    are unchanged.
    """
    encoder = Encoder(target, FORMATS["wav"], sample_rate)
    try:
        left = extent.samples
        with closing(read_blocks(source, _BLOCK_SAMPLES)) as blocks:
            for block in chain(_silence(extent.lead_samples), blocks):
                encoder.write(block[:, :left])
                left -= min(left, block.shape[1])
        for block in _silence(left):
            encoder.write(block)
    except BaseException:
        encoder.abort()
        raise
    encoder.close()


def write_zip(
    track: Track,
    stems: Mapping[str, Path],
    target: Path,
    convention: Convention = Convention.FRAMES_AND_TAG,
) -> None:
    """Write all stems, `drums.wav` and so on, into one zip without compression."""
    song_extent = extent(track, convention)
    wav = target.with_name(f"{target.name}.part")
    try:
        with whole(target), zipfile.ZipFile(target, "w") as archive:
            for name, source in stems.items():
                write(source, wav, track.sample_rate, song_extent)
                archive.write(wav, f"{name}.wav")
    finally:
        wav.unlink(missing_ok=True)


def _silence(samples: int) -> Iterator[Wave]:
    for start in range(0, samples, _BLOCK_SAMPLES):
        yield np.zeros((2, min(_BLOCK_SAMPLES, samples - start)), np.float32)
