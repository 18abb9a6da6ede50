"""The songs that lie one after another in a file, and the bytes that are theirs.

Most files are one section. An Ogg that goes on with another stream, joined mp3s and
joined FLACs have more: each is decoded on its own, so that each is as long as it says.
Tags before, between and behind the sound are left out here, so that the size of a
picture in them makes no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from serve_app.audio import chunks, frame_sizes, mpeg, ogg, tags
from serve_app.audio.frame_sizes import HEAD_BYTES, Measure
from serve_app.audio.splice import Piece, Stretch, find, read_at, replaced, spliced
from serve_app.errors import UnreadableAudio

_MOST_SECTIONS = 1_000

_AU = b".snd"
_FLAC = b"fLaC"
# Where a FLAC's first block must be its facts, which are so long.
_FLAC_FACTS = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")

_BLOCK_BYTES = 65_536

# Behind the size and time of an MLP's or TrueHD's first access unit.
_MLP_SYNC = b"\xf8\x72\x6f"
_MEASURES = (
    frame_sizes.mpeg_bytes,
    frame_sizes.adts_bytes,
    frame_sizes.ac3_bytes,
    frame_sizes.wavpack_bytes,
)
_NAMED: dict[Measure, str] = {
    frame_sizes.mpeg_bytes: "mp3",
    frame_sizes.adts_bytes: "aac",
}


@dataclass(frozen=True)
class Section:
    """A part of a file that FFmpeg can read by itself.

    `format` is FFmpeg's name for it, None where FFmpeg is to find out.
    """

    pieces: tuple[Piece, ...]
    format: str | None = None
    is_cut: bool = False
    is_damaged: bool = False
    link: ogg.Link | None = None


def sections(path: Path) -> list[Section]:
    """Return what lies in a file, in order; at least one section."""
    size_bytes = path.stat().st_size
    with spliced(path, [Stretch(0, size_bytes)]) as file:
        start = tags.end_of_tags(file, 0)
    whole = Stretch(start if start < size_bytes else 0, size_bytes)
    with spliced(path, [whole]) as file:
        found = list(islice(_sections(file, whole), _MOST_SECTIONS + 1))
    if len(found) > _MOST_SECTIONS:
        raise UnreadableAudio(
            f"The file holds more than {_MOST_SECTIONS} songs, one after another. "
            "Send them one by one."
        )
    return found or [Section((whole,))]


def _sections(file: BinaryIO, whole: Stretch) -> Iterator[Section]:
    head = file.read(16)
    if head.startswith(ogg.CAPTURE):
        for link in ogg.links(file, len(whole)):
            yield _of_link(link, whole.start)
    elif head.startswith(_FLAC):
        yield from _of_flac(file, whole)
    elif (name := chunks.format_of(head)) is not None:
        repair = chunks.repaired(file, whole)
        yield Section(repair.pieces, name, repair.is_cut)
    elif head.startswith(_AU):
        yield Section(_of_au(whole, head), "au")
    elif (measure := _measure_of(file, head)) is not None:
        # MPEG frames that stand alone are too few for FFmpeg to be sure of.
        name = _NAMED.get(measure)
        for run in _runs(file, whole, measure):
            yield Section(run.pieces, name, run.is_cut)
    else:
        yield Section((whole,))


def _of_link(link: ogg.Link, start: int) -> Section:
    stretch = Stretch(start + link.start, start + link.end)
    return Section((stretch,), "ogg", link.is_cut, link.has_gap, link)


def _of_au(whole: Stretch, head: bytes) -> tuple[Piece, ...]:
    """Say "unknown" where the header says that there is no sound: FFmpeg goes on."""
    if head[8:12] != bytes(4):
        return (whole,)
    return replaced(whole, [(whole.start + 8, b"\xff" * 4)])


def _of_flac(file: BinaryIO, whole: Stretch) -> Iterator[Section]:
    start, position = 0, len(_FLAC)
    while (found := find(file, _FLAC, position, len(whole))) is not None:
        position = found + len(_FLAC)
        if read_at(file, position, 4) in _FLAC_FACTS:
            yield Section((_within(whole, start, found),), "flac")
            start = found
    yield Section((_within(whole, start, len(whole)),), "flac")


def _within(whole: Stretch, start: int, end: int) -> Stretch:
    return Stretch(whole.start + start, whole.start + end)


def _measure_of(file: BinaryIO, head: bytes) -> Measure | None:
    if head[4:7] == _MLP_SYNC:
        return frame_sizes.mlp_bytes
    return next((m for m in _MEASURES if _fits(file, m)), None)


def _fits(file: BinaryIO, measure: Measure) -> bool:
    """Whether a file begins with two frames, or with one that is all of it."""
    size_bytes = measure(read_at(file, 0, HEAD_BYTES))
    if not size_bytes:
        return False
    following = read_at(file, size_bytes, HEAD_BYTES)
    return not following or measure(following) is not None


@dataclass(frozen=True)
class _Run:
    """Frames that belong together."""

    pieces: tuple[Stretch, ...]
    is_cut: bool = False


def _runs(file: BinaryIO, whole: Stretch, measure: Measure) -> Iterator[_Run]:
    """Yield frames without the tags between; what starts anew is a run of its own.

    From the first byte on that is neither, all is left to FFmpeg.
    """
    pieces: list[Stretch] = []
    start = position = 0
    kind = mpeg.kind(read_at(file, 0, HEAD_BYTES))
    while position < len(whole):
        head = read_at(file, position, HEAD_BYTES)
        size_bytes = measure(head)
        if size_bytes:
            if position and (mpeg.is_tag_frame(head) or mpeg.kind(head) != kind):
                yield _Run((*pieces, _within(whole, start, position)))
                pieces, start, kind = [], position, mpeg.kind(head)
            position += size_bytes
            continue
        after = _end_of_filling(file, tags.end_of_tags(file, position))
        if after == position:
            position = len(whole)
            break
        pieces.append(_within(whole, start, position))
        start = position = after
    if start < len(whole):
        pieces.append(_within(whole, start, len(whole)))
    yield _Run(tuple(pieces), position > len(whole))


def _end_of_filling(file: BinaryIO, position: int) -> int:
    """Return where zeros end."""
    while block := read_at(file, position, _BLOCK_BYTES):
        rest = len(block.lstrip(b"\0"))
        position += len(block) - rest
        if rest:
            break
    return position
