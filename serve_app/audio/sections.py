"""Sections: the songs stored one after another in a file, and their bytes.

Most files are one section. A chained Ogg, joined mp3s and joined FLACs have several:
each is decoded on its own, so that each keeps its stated length. Tags before, between
and behind the audio are left out here, so that large pictures in them do no harm.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from serve_app.audio import chunks, ogg, tags
from serve_app.audio.frame_sizes import HEAD_BYTES, Measure
from serve_app.audio.frame_syntax import MLP, SYNTAXES, Syntax
from serve_app.audio.resync import Resync
from serve_app.audio.runs import runs
from serve_app.audio.splice import Piece, Stretch, find, read_at, replaced, spliced
from serve_app.errors import UnreadableAudio

_MOST_SECTIONS = 1_000

_AU = b".snd"
_FLAC = b"fLaC"
# A FLAC's first block must be STREAMINFO, of 34 bytes (0x22); 0x80: the only block.
_FLAC_FACTS = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")

# Follows the size and timing fields of an MLP or TrueHD file's first access unit.
_MLP_SYNC = b"\xf8\x72\x6f"
# The first frame is searched for in so many bytes behind the tags.
_LEAD_BYTES = 65_536


@dataclass(frozen=True)
class Section:
    """A section of a file, which FFmpeg can read on its own.

    `format` is FFmpeg's name for it; None if FFmpeg has to detect it.
    """

    pieces: tuple[Piece, ...]
    format: str | None = None
    is_cut: bool = False
    is_damaged: bool = False
    damage: str | None = None
    link: ogg.Link | None = None
    is_known: bool = True


def sections(path: Path, is_bare: Callable[[BinaryIO], bool]) -> list[Section]:
    """Return a file's sections in order; at least one.

    `is_bare` is called if the first bytes are not recognised: it returns whether the
    file holds bare frames or is unknown, rather than a container that may hold frames.
    """
    size_bytes = path.stat().st_size
    everything = Stretch(0, size_bytes)
    with spliced(path, [everything]) as file:
        start = tags.end_of_tags(file, 0)
    whole = Stretch(start, size_bytes) if start < size_bytes else everything
    with spliced(path, [whole]) as file:
        found = _at_most(_sections(file, whole))
    if found and found[0].is_known:
        return found
    with spliced(path, [whole]) as file:
        if not is_bare(file):
            return found
    # A tag's stated size may be wrong, so its bytes are searched too.
    with spliced(path, [everything]) as file:
        limit = start + _LEAD_BYTES
        return _at_most(_behind_junk(file, everything, limit)) or [Section((whole,))]


def _at_most(found: Iterator[Section]) -> list[Section]:
    first = list(islice(found, _MOST_SECTIONS + 1))
    if len(first) > _MOST_SECTIONS:
        raise UnreadableAudio(
            f"The file contains more than {_MOST_SECTIONS} songs, one after another. "
            "Send each song as a file of its own."
        )
    return first


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
    elif (syntax := _syntax_of(file, head)) is not None:
        yield from _of_frames(file, whole, syntax)
    else:
        yield Section((whole,), is_known=False)


def _behind_junk(file: BinaryIO, whole: Stretch, limit: int) -> Iterator[Section]:
    """Yield the sections that begin behind leading junk, if any."""
    position = 0
    while (found := find(file, _FLAC, position, min(limit, len(whole)))) is not None:
        position = found + len(_FLAC)
        if read_at(file, position, 4) in _FLAC_FACTS:
            yield from _of_flac(file, whole, found)
            return
    if (first := _first_frame(file, len(whole), limit)) is not None:
        yield from _of_frames(file, whole, *first)


def _of_link(link: ogg.Link, start: int) -> Section:
    stretch = Stretch(start + link.start, start + link.end)
    return Section((stretch,), "ogg", link.is_cut, link.has_gap, link=link)


def _of_au(whole: Stretch, head: bytes) -> tuple[Piece, ...]:
    """Replace a data size of 0 by "unknown", so that FFmpeg reads to the end."""
    if head[8:12] != bytes(4):
        return (whole,)
    return replaced(whole, [(whole.start + 8, b"\xff" * 4)])


def _of_flac(file: BinaryIO, whole: Stretch, start: int = 0) -> Iterator[Section]:
    position = start + len(_FLAC)
    while (found := find(file, _FLAC, position, len(whole))) is not None:
        position = found + len(_FLAC)
        if read_at(file, position, 4) in _FLAC_FACTS:
            yield Section((_within(whole, start, found),), "flac")
            start = found
    yield Section((_within(whole, start, len(whole)),), "flac")


def _within(whole: Stretch, start: int, end: int) -> Stretch:
    return Stretch(whole.start + start, whole.start + end)


def _syntax_of(file: BinaryIO, head: bytes) -> Syntax | None:
    if head[4:7] == _MLP_SYNC:
        return MLP
    return next((syntax for syntax in SYNTAXES if _fits(file, syntax.measure)), None)


def _fits(file: BinaryIO, measure: Measure) -> bool:
    """Whether a file begins with two frames, or consists of one."""
    size_bytes = measure(read_at(file, 0, HEAD_BYTES))
    if not size_bytes:
        return False
    following = read_at(file, size_bytes, HEAD_BYTES)
    return not following or measure(following) is not None


def _of_frames(
    file: BinaryIO, whole: Stretch, syntax: Syntax, start: int = 0
) -> Iterator[Section]:
    # The format is named because FFmpeg can't detect it from a single MPEG frame.
    for run in runs(file, whole, syntax, start):
        yield Section(run.pieces, syntax.format, run.is_cut, damage=run.damage)


def _first_frame(file: BinaryIO, end: int, limit: int) -> tuple[Syntax, int] | None:
    """Return the kind and the position of the first frames behind junk, or None."""
    found = (
        (position, index)
        for index, syntax in enumerate(SYNTAXES)
        if (position := Resync(file, end, syntax).next_frame(0, None, limit))
    )
    position, index = min(found, default=(0, 0))
    return (SYNTAXES[index], position) if position else None
