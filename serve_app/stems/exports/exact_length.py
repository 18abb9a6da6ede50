"""Stems as wavs that are exactly as long as a program's own decoding of the song.

Serato throws stems away that are a sample longer or shorter than the track in its deck.
How long that is depends on what its decoder does with the ends of an mp3.
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
    """What of an mp3 or an m4a a decoder counts as the song.

    `GAPLESS`: what the encoder was given, which is what we decode. `FRAMES`: all of the
    frames with sound, and so the silence that the encoder put at both ends.
    `FRAMES_AND_TAG`: the tag's frame too, as a frame of silence before the others.
    """

    GAPLESS = "gapless"
    FRAMES = "frames"
    FRAMES_AND_TAG = "frames_and_tag"


@dataclass(frozen=True)
class Extent:
    """How a program's decoding lies to ours: silence before, and the length of all."""

    lead_samples: int
    samples: int


def extent(track: Track, convention: Convention) -> Extent:
    """Return where a decoder of this convention has the song, and how long it is."""
    facts = track.codec
    if convention is Convention.GAPLESS:
        return Extent(0, track.samples)
    tag = facts.tag_samples if convention is Convention.FRAMES_AND_TAG else 0
    lead = facts.lead_samples + tag
    coded = facts.coded_samples
    return Extent(lead, lead + track.samples if coded is None else coded + tag)


def write(source: Path, target: Path, sample_rate: int, extent: Extent) -> None:
    """Write a stem as a wav of 16 bits and exactly that extent.

    Silence goes before and behind, and what is too much goes from the end. The samples
    between are those of the stem.
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
    """Write all stems, `drums.wav` and so on, as one zip without compression."""
    place = extent(track, convention)
    part = target.with_name(f"{target.name}.part")
    try:
        with whole(target), zipfile.ZipFile(target, "w") as archive:
            for name, source in stems.items():
                write(source, part, track.sample_rate, place)
                archive.write(part, f"{name}.wav")
    finally:
        part.unlink(missing_ok=True)


def _silence(samples: int) -> Iterator[Wave]:
    for start in range(0, samples, _BLOCK_SAMPLES):
        yield np.zeros((2, min(_BLOCK_SAMPLES, samples - start)), np.float32)
