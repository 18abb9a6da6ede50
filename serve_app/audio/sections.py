"""The songs that lie one after another in a file, and the bytes that are theirs.

Most files are one section. An Ogg that goes on with another stream, joined mp3s and
joined FLACs have more: each is decoded on its own, so that each is as long as it says.
Tags before, between and behind the sound are left out here, so that the size of a
picture in them makes no difference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serve_app.audio import chunks, mpeg, ogg, tags
from serve_app.audio.splice import Piece, Stretch, find, read_at, spliced

_FLAC = b"fLaC"
# Where a FLAC's first block must be its facts, which are so long.
_FLAC_FACTS = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")

_ADTS_HEADER_BYTES = 7
_BLOCK_BYTES = 65_536

# Tells how long the frame is whose first bytes it gets; None if they are of no frame.
_Measure = Callable[[bytes], int | None]


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
        return list(_sections(file, whole))


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
    elif _is_run(file, mpeg.frame_bytes):
        for run in _runs(file, whole, mpeg.frame_bytes):
            yield Section(run.pieces, "mp3")
    elif _is_run(file, _adts_bytes):
        for run in _runs(file, whole, _adts_bytes):
            yield Section(run.pieces, "aac", run.is_cut)
    else:
        yield Section((whole,))


def _of_link(link: ogg.Link, start: int) -> Section:
    stretch = Stretch(start + link.start, start + link.end)
    return Section((stretch,), "ogg", link.is_cut, link.has_gap, link)


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


def _is_run(file: BinaryIO, measure: _Measure) -> bool:
    """Whether a file begins with two frames, or with one that is all of it."""
    size_bytes = measure(read_at(file, 0, mpeg.PROBE_BYTES))
    if not size_bytes:
        return False
    following = read_at(file, size_bytes, mpeg.PROBE_BYTES)
    return not following or measure(following) is not None


@dataclass(frozen=True)
class _Run:
    """Frames that belong together."""

    pieces: tuple[Stretch, ...]
    is_cut: bool = False


def _runs(file: BinaryIO, whole: Stretch, measure: _Measure) -> Iterator[_Run]:
    """Yield frames without the tags between; a stream that has its own tag is another.

    From the first byte on that is neither, all is left to FFmpeg.
    """
    pieces: list[Stretch] = []
    start = position = 0
    while position < len(whole):
        head = read_at(file, position, mpeg.PROBE_BYTES)
        size_bytes = measure(head)
        if size_bytes:
            if position and mpeg.is_tag_frame(head):
                yield _Run((*pieces, _within(whole, start, position)))
                pieces, start = [], position
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


def _adts_bytes(head: bytes) -> int | None:
    """ISO/IEC 13818-7, 6.2: the size of a whole frame, as its ADTS header states it."""
    if len(head) < _ADTS_HEADER_BYTES or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    size_bytes = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size_bytes if size_bytes >= _ADTS_HEADER_BYTES else None
