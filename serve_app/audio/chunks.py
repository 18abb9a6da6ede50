"""Read files of chunks (wav, RF64, W64, AIFF, CAF) despite wrong headers.

Length of the audio:

- The stated size of the audio chunk is valid if another chunk, a tag or nothing follows
  it. Otherwise, or if it is 0 or a value that means "unknown", the header was never
  corrected, and the audio extends to the end of the file, or to a sequence of chunks
  that ends exactly there.
- A chunk follows if its name is known, or if a sequence of chunks with printable names
  ends exactly at the end of the file.
- Less than one frame of samples, or a single byte, is never audio. If the size of the
  whole file says that it ends with the audio, a few more bytes, text, or the start of
  another kind of file are not audio either.
- A chunk that states more than the file has was cut, unless the difference is small and
  the size of the whole file is smaller.

Width of a sample: its container's. The valid bits of WAVE_FORMAT_EXTENSIBLE are the
container's upper bits, so reading the whole container is exact.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

from serve_app.audio import caf, tags
from serve_app.audio.splice import Piece, Stretch, read_at, replaced

# Streaming writers leave sizes from here up for "unknown".
_UNKNOWN_RIFF_BYTES = 0x7FFF_F000

# Some writers pad an odd size by a byte even if the alignment does not require it.
_PADDED_BYTES = 2

# Some writers include the header in the size of the data.
_SLACK_BYTES = 44

# If the audio's size is wrong, chunks behind it are searched in so many last bytes:
# enough for a picture.
_TAIL_BYTES = 16 * 2**20

_EXTENSIBLE, _PCM, _FLOAT = 0xFFFE, 1, 3
# The bytes behind the format's code in a subformat: KSDATAFORMAT_SUBTYPE.
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")

# Filler behind the audio: at most a disk's or a transfer's block, and at most this
# share of the audio. A header last corrected during the recording lacks more.
_FILLER_BYTES = 4096
_FILLER_SHARE = 1 / 16

# First bytes of other files: archives, pictures, documents, programs, other audio.
_FOREIGN = (
    *(b"PK\3\4", b"PK\5\6", b"Rar!\x1a\7", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08"),
    *(b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", b"\xff\xd8\xff", b"\x89PNG\r\n"),
    *(b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"%PDF-", b"%!PS", b"{\\rtf"),
    *(b"\xd0\xcf\x11\xe0", b"SQLite format 3\0", b"\x7fELF", b"OggS\0", b"fLaC"),
)
# Text is recognised by so many of its first bytes.
_FOREIGN_BYTES = 65_536

# Names of chunks that occur behind the audio, in any of these formats; 4 bytes each.
_NAMES = (
    b"LISTlistid3 ID3 bextcue smplfactJUNKjunkPAD FLLRiXMLaxmlchna_PMXinstaciddesc"
    b"afspDISPcartlevlstrcplstPEAKumidminfelm1regnovwfDGDASyLpCr8rLGWVResUbxmluuid"
    b"sxmlubxtdbmdcsettlstSAURclm marksummCOMMMARKINSTCOMTNAMEAUTHANNO(c) MIDIAESD"
    b"APPLSAXLCHANFVERbasctrnscatefreeinfostrgmidiovvwpeakpaktkukichanedct"
)
_KNOWN = frozenset(_NAMES[start : start + 4] for start in range(0, len(_NAMES), 4))
_KNOWN_PATTERN = re.compile(b"|".join(map(re.escape, sorted(_KNOWN))))


@dataclass(frozen=True)
class _Layout:
    """Chunk layout of a format. `counted`: header bytes that a size includes."""

    first: int
    sound: bytes
    order: Literal["big", "little"] = "little"
    name_bytes: int = 4
    size_bytes: int = 4
    alignment: int = 2
    counted: int = 0
    # Bytes of the audio chunk before its samples.
    lead_bytes: int = 0

    @property
    def header_bytes(self) -> int:
        return self.name_bytes + self.size_bytes


@dataclass(frozen=True)
class _Chunk:
    """A chunk: positions of its size field, its contents, and their stated end."""

    name: bytes
    size_at: int
    start: int
    end: int


@dataclass(frozen=True)
class Repair:
    """The pieces to read a file from, and whether its audio is truncated."""

    pieces: tuple[Piece, ...]
    is_cut: bool = False


@dataclass(frozen=True)
class _Header:
    """The chunk with the audio, and by name the chunks that describe it."""

    sound: _Chunk
    chunks: Mapping[bytes, _Chunk]


_RIFF = _Layout(12, b"data")
_CAF = _Layout(8, b"data", "big", 4, 8, 1, lead_bytes=4)
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RIFX": _Layout(12, b"data", "big"),
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"FORM": _Layout(12, b"SSND", "big", lead_bytes=8),
    b"caff": _CAF,
    b"riff": _Layout(40, b"data", "little", 16, 8, 8, counted=24),
}
# The chunks before the audio that are read.
_FACTS = (b"fmt ", b"ds64", b"COMM", b"desc")
_FORMATS = {b"FORM": "aiff", b"caff": "caf", b"riff": "w64"}


def format_of(head: bytes) -> str | None:
    """Return FFmpeg's name of a chunk format by a file's first 16 bytes, or None."""
    name = head[:4]
    if name in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if name == b"FORM" and head[8:12] not in (b"AIFF", b"AIFC"):
        return None
    if name == b"riff" and head != _W64_RIFF:
        return None
    return _FORMATS.get(name)


def repaired(file: BinaryIO, whole: Stretch) -> Repair:
    """Return how to read a file of chunks whose header may be wrong."""
    layout = _LAYOUTS[read_at(file, 0, 4)]
    size_bytes = len(whole)
    header = _header(file, layout, size_bytes)
    if header is None:
        return Repair((whole,))
    if layout is _CAF and caf.has_packets(file):
        if caf.is_cut_short(file):
            return Repair((whole,), is_cut=True)
        return Repair(_with_changes(whole, caf.without_remainder(file), whole.end))
    changes = _container_widths(file, layout, header)
    stated = _stated_end(file, layout, header)
    if stated is not None and stated > size_bytes:
        exceeds_slack = stated > size_bytes + _SLACK_BYTES
        file_agrees = _stated_file_end(file, layout, header) >= stated
        return Repair((whole,), exceeds_slack or file_agrees)
    if stated is not None and _ends_with_audio(
        file, layout, header, stated, size_bytes
    ):
        return Repair(_with_changes(whole, changes, whole.start + stated))
    end = _sound_end(file, layout, header.sound, stated, size_bytes)
    if end == stated and _is_padded(file, layout, header, end):
        changes += _sizes(file, layout, header, end - 1)
        return Repair(_with_changes(whole, changes, whole.start + end - 1))
    least_bytes = max(_PADDED_BYTES, _frame_bytes(file, layout, header))
    if end - (stated or header.sound.start) < least_bytes:
        return Repair(_with_changes(whole, changes, whole.end))
    changes += _sizes(file, layout, header, end)
    return Repair(_with_changes(whole, changes, whole.start + end))


def _with_changes(
    whole: Stretch, changes: list[tuple[int, bytes]], end: int
) -> tuple[Piece, ...]:
    moved = ((whole.start + position, data) for position, data in changes)
    return replaced(Stretch(whole.start, end), moved)


def _chunks(
    file: BinaryIO, layout: _Layout, position: int, size_bytes: int
) -> Iterator[_Chunk]:
    while position + layout.header_bytes <= size_bytes:
        data = read_at(file, position, layout.header_bytes)
        stated = int.from_bytes(data[layout.name_bytes :], layout.order)
        start = position + layout.header_bytes
        end = start + max(0, stated - layout.counted)
        yield _Chunk(data[:4], position + layout.name_bytes, start, end)
        position = end + -end % layout.alignment


def _header(file: BinaryIO, layout: _Layout, size_bytes: int) -> _Header | None:
    chunks: dict[bytes, _Chunk] = {}
    for chunk in _chunks(file, layout, layout.first, size_bytes):
        if chunk.name == layout.sound:
            return _Header(chunk, chunks)
        if chunk.name in _FACTS:
            chunks[chunk.name] = chunk
    return None


def _stated_end(file: BinaryIO, layout: _Layout, header: _Header) -> int | None:
    """Return the stated end of the audio, or None."""
    sound = header.sound
    size = sound.end - sound.start
    if b"ds64" in header.chunks:  # EBU 3306: the sizes that 32 bits can't hold
        stated = read_at(file, header.chunks[b"ds64"].start + 8, 8)
        size = int.from_bytes(stated, "little")
    elif layout.size_bytes == 4 and size >= _UNKNOWN_RIFF_BYTES:
        return None
    if size <= layout.lead_bytes or size >= 2**63 - 2**16:
        return None
    return sound.start + size


def _is_padded(file: BinaryIO, layout: _Layout, header: _Header, end: int) -> bool:
    """Whether an AIFF's audio chunk is one byte longer than its frames.

    libsndfile includes the padding byte in the size, and FFmpeg reads it.
    """
    if b"COMM" not in header.chunks:
        return False
    field = read_at(file, header.chunks[b"COMM"].start + 2, 4)
    sound_bytes = int.from_bytes(field, "big") * _frame_bytes(file, layout, header)
    return end == header.sound.start + layout.lead_bytes + sound_bytes + 1


def _sound_end(
    file: BinaryIO, layout: _Layout, sound: _Chunk, stated: int | None, size_bytes: int
) -> int:
    if stated is not None and _is_valid_end(file, layout, stated, size_bytes):
        return stated
    start = max(sound.start, stated or 0, size_bytes - _TAIL_BYTES)
    tail = read_at(file, start, size_bytes - start)
    # Chunks from which the end was not reached: a sequence through one fails too.
    dead: set[int] = set()
    for match in _KNOWN_PATTERN.finditer(tail):
        if _reaches_the_end(file, layout, start + match.start(), size_bytes, dead):
            return start + match.start()
    return size_bytes


def _is_valid_end(file: BinaryIO, layout: _Layout, end: int, size_bytes: int) -> bool:
    """Whether a chunk, a tag or nothing follows the audio."""
    padded = end + -end % layout.alignment
    if padded >= size_bytes or tags.end_of_tags(file, end) > end:
        return True
    return any(
        read_at(file, position, 4) in _KNOWN
        or _reaches_the_end(file, layout, position, size_bytes)
        for position in (padded, end)
    )


def _stated_file_end(file: BinaryIO, layout: _Layout, header: _Header) -> int:
    """Return the end of the file as its outermost header states it.

    A CAF states none: then the result is far beyond its end.
    """
    if b"ds64" in header.chunks:
        stated = read_at(file, header.chunks[b"ds64"].start, 8)
        return layout.header_bytes + int.from_bytes(stated, "little")
    return next(_chunks(file, layout, 0, layout.header_bytes)).end


def _ends_with_audio(
    file: BinaryIO, layout: _Layout, header: _Header, stated: int, size_bytes: int
) -> bool:
    """Whether the file's stated end is its audio's, and what follows is not audio."""
    file_end = _stated_file_end(file, layout, header)
    if file_end not in (stated, stated + -stated % layout.alignment):
        return False
    share_bytes = (stated - header.sound.start) * _FILLER_SHARE
    is_little = size_bytes - stated <= min(_FILLER_BYTES, share_bytes)
    is_other = is_little or _is_foreign(read_at(file, file_end, _FOREIGN_BYTES))
    return is_other and not _is_valid_end(file, layout, stated, size_bytes)


def _is_foreign(data: bytes) -> bool:
    """Whether the bytes are text or the start of another kind of file."""
    if data.startswith(_FOREIGN):
        return True
    try:
        # The incremental decoder ignores a character cut off at the end.
        text = getincrementaldecoder("utf-8-sig")().decode(data)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)


def _reaches_the_end(
    file: BinaryIO,
    layout: _Layout,
    position: int,
    size_bytes: int,
    dead: set[int] | None = None,
) -> bool:
    end, dead = position, set() if dead is None else dead
    for chunk in _chunks(file, layout, position, size_bytes):
        is_printable = all(32 <= byte < 127 for byte in chunk.name)
        if not is_printable or chunk.start in dead:
            return False
        dead.add(chunk.start)
        end = chunk.end
    return end > position and 0 <= size_bytes - end < layout.alignment


def _frame_bytes(file: BinaryIO, layout: _Layout, header: _Header) -> int:
    if b"fmt " in header.chunks:
        field = read_at(file, header.chunks[b"fmt "].start + 12, 2)
        return int.from_bytes(field, layout.order)
    if b"COMM" in header.chunks:
        facts = read_at(file, header.chunks[b"COMM"].start, 8)
        bits = int.from_bytes(facts[6:], "big")
        return int.from_bytes(facts[:2], "big") * ((bits + 7) // 8)
    if b"desc" in header.chunks:
        field = read_at(file, header.chunks[b"desc"].start + 16, 4)
        return int.from_bytes(field, "big")
    return 1


def _sizes(
    file: BinaryIO, layout: _Layout, header: _Header, end: int
) -> list[tuple[int, bytes]]:
    """Return the changes that make a header state `end` as the audio's end."""
    size = end - header.sound.start
    largest = (1 << 8 * layout.size_bytes) - 1
    stated = min(size + layout.counted, largest)
    changes = [(header.sound.size_at, stated.to_bytes(layout.size_bytes, layout.order))]
    if b"ds64" in header.chunks:
        changes.append((header.chunks[b"ds64"].start + 8, size.to_bytes(8, "little")))
    frame_bytes = _frame_bytes(file, layout, header)
    if b"COMM" in header.chunks and frame_bytes:
        frames = (size - layout.lead_bytes) // frame_bytes
        changes.append((header.chunks[b"COMM"].start + 2, frames.to_bytes(4, "big")))
    return changes


def _container_widths(
    file: BinaryIO, layout: _Layout, header: _Header
) -> list[tuple[int, bytes]]:
    """Return the changes that mark all bits of each sample's container as valid."""
    chunk = header.chunks.get(b"fmt ")
    if chunk is None or chunk.end - chunk.start < 40:
        return []
    facts = read_at(file, chunk.start, 40)

    def number(offset: int) -> int:
        return int.from_bytes(facts[offset : offset + 2], layout.order)

    code, channels, frame_bytes, bits = number(24), number(2), number(12), number(14)
    if number(0) != _EXTENSIBLE or facts[26:] != _SUBFORMAT:
        return []
    if code not in (_PCM, _FLOAT) or bits == 0:
        return []
    width = 8 * ((bits + 7) // 8)
    if code == _PCM and width == 24 and frame_bytes == 4 * channels:
        width = 32
    data = width.to_bytes(2, layout.order)
    return [(chunk.start + 14, data), (chunk.start + 18, data)]
