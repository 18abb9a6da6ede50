"""Writing of tags into stems' files; the sound is copied byte for byte.

No suitable library exists: mutagen and TagLib's bindings are under the GPL, and FFmpeg
remuxes mp3, mp4 and Ogg, which may change their delays and lengths.
"""

import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from serve_app.audio.tags import end_of_tags
from serve_app.stems.exports import id3, mp4_boxes, serato, vorbis
from serve_app.stems.exports.codec_facts import codec_facts
from serve_app.stems.exports.files import whole
from serve_app.stems.exports.mp4_boxes import copy
from serve_app.stems.exports.tags import Tags
from serve_app.stems.exports.track import Track

_FLAC_COMMENTS, _FLAC_PICTURE, _FLAC_PADDING = 4, 6, 1
_FLAC_LAST = 0x80
_FLAC_BLOCK_BYTES = 2**24 - 1
_WAV_SIZE_IS_ELSEWHERE = 0xFFFFFFFF
# Dropped: space that FFmpeg reserves for an RF64's sizes, its name, and older tags.
_WAV_UNWANTED = (b"JUNK", b"LIST", b"id3 ", b"ID3 ")
_OGG_HEAD_BYTES = 27


def write(source: Path, target: Path, tags: Tags) -> None:
    """Copy a stem with these tags and no others.

    The suffix determines the format: mp3, wav, flac, m4a, mp4 or opus. Raises
    ValueError for other suffixes, and if the content does not match the suffix.
    """
    writer = _WRITERS.get(source.suffix.lower())
    if writer is None:
        known = ", ".join(_WRITERS)
        raise ValueError(
            f"{source.name} can't be tagged: its suffix must be one of {known}"
        )
    try:
        with whole(target):
            writer(source, target, tags)
    except (struct.error, IndexError) as err:
        raise ValueError(
            f"{source.name} is not a complete {source.suffix[1:]} file"
        ) from err


def write_stem(track: Track, stem: str, source: Path, target: Path) -> None:
    """Copy a stem with its song's tags, tempo, key and grid, and its name in the title.

    The song's file name is not used as a title: the same file may have other names. The
    grid is in Serato's tag, for mp3 and wav only, in the time of this stem's file.
    Raises ValueError as `write` does.
    """
    codec = "mp3" if source.suffix.lower() == ".mp3" else ""
    facts = codec_facts(source, codec, track.sample_rate)
    grid = serato.beat_grid(replace(track, codec=facts))
    tags = replace(track.tagged, title=track.tags.title).of_stem(stem)
    write(source, target, replace(tags, beat_grid=grid))


def _mp3(source: Path, target: Path, tags: Tags) -> None:
    with source.open("rb") as file, target.open("wb") as out:
        out.write(id3.tag(tags))
        file.seek(end_of_tags(file, 0))
        shutil.copyfileobj(file, out)


def _wav(source: Path, target: Path, tags: Tags) -> None:
    """Append a chunk `id3 `, where DJ programs look for tags in a wav.

    It follows the sound, because simple readers expect 16-bit sound at byte 44.
    """
    tag = id3.tag(tags)
    with source.open("rb") as file, target.open("w+b") as out:
        kind, stated, form = struct.unpack("<4sI4s", file.read(12))
        if kind not in (b"RIFF", b"RF64") or form != b"WAVE":
            raise ValueError(f"{source.name} is not a wav file")
        out.write(struct.pack("<4sI4s", kind, stated, form))
        for name, start, size in _wav_chunks(file):
            if name not in _WAV_UNWANTED:
                copy(file, out, start, size)
                # Chunks start at even offsets.
                out.write(bytes(out.tell() % 2))
        out.write(b"id3 " + struct.pack("<I", len(tag)) + tag + bytes(len(tag) % 2))
        whole = out.tell() - 8
        if stated == _WAV_SIZE_IS_ELSEWHERE:
            # EBU 3306: the first chunk is `ds64`, with the size in 64 bits.
            out.seek(20)
            out.write(struct.pack("<Q", whole))
        elif whole >= _WAV_SIZE_IS_ELSEWHERE:
            raise ValueError(f"{source.name} has no room for tags: a wav ends at 4 GiB")
        else:
            out.seek(4)
            out.write(struct.pack("<I", whole))


def _wav_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and the offset and size with its header."""
    sound_bytes = 0
    start, end = file.tell(), file.seek(0, os.SEEK_END)
    while start + 8 <= end:
        file.seek(start)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"ds64":
            _, sound_bytes = struct.unpack("<QQ", file.read(16))
        if name == b"data" and size == _WAV_SIZE_IS_ELSEWHERE:
            size = sound_bytes
        if start + 8 + size > end:
            raise ValueError(f"the wav is incomplete: the chunk {name!r} is cut off")
        yield name, start, 8 + size
        start += 8 + size + size % 2


def _flac(source: Path, target: Path, tags: Tags) -> None:
    with source.open("rb") as file, target.open("wb") as out:
        if file.read(4) != b"fLaC":
            raise ValueError(f"{source.name} is not a flac file")
        ours = (_FLAC_COMMENTS, _FLAC_PICTURE, _FLAC_PADDING)
        blocks = [block for block in _flac_blocks(file) if block[0] not in ours]
        comments = vorbis.comments(tags, with_cover=False)
        blocks.append((_FLAC_COMMENTS, comments))
        if tags.cover is not None:
            picture = vorbis.picture(tags.cover)
            if len(picture) <= _FLAC_BLOCK_BYTES:
                blocks.append((_FLAC_PICTURE, picture))
        out.write(b"fLaC")
        for number, (kind, content) in enumerate(blocks, 1):
            last = _FLAC_LAST if number == len(blocks) else 0
            out.write(struct.pack(">I", (last | kind) << 24 | len(content)) + content)
        shutil.copyfileobj(file, out)


def _flac_blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    is_last = False
    while not is_last:
        (head,) = struct.unpack(">I", file.read(4))
        is_last = bool(head >> 24 & _FLAC_LAST)
        yield head >> 24 & ~_FLAC_LAST, file.read(head & 0xFFFFFF)


def _mp4(source: Path, target: Path, tags: Tags) -> None:
    mp4_boxes.rewrite(source, target, mp4_boxes.metadata(tags))


def _opus(source: Path, target: Path, tags: Tags) -> None:
    """Replace the second packet, the comments, and renumber the following pages."""
    with source.open("rb") as file, target.open("wb") as out:
        pages = ogg_pages(file)
        first = next(pages, b"")
        if first[28:36] != b"OpusHead":
            raise ValueError(f"{source.name} is not an opus file")
        out.write(first)
        number = 1
        packet = b"OpusTags" + vorbis.comments(tags, with_cover=True)
        for page in vorbis.pages_of(packet, first[14:18], number):
            out.write(page)
            number += 1
        while not _ends_packet(next(pages, b"")):
            pass
        for page in pages:
            out.write(vorbis.checked(page[:18] + struct.pack("<I", number) + page[22:]))
            number += 1


def _ends_packet(page: bytes) -> bool:
    """Whether a packet ends at the end of this page: its last lacing value is < 255."""
    return page[_OGG_HEAD_BYTES + page[26] - 1] < 255


def ogg_pages(file: BinaryIO) -> Iterator[bytes]:
    """Yield the pages of an Ogg file; raise ValueError for an invalid page."""
    while head := file.read(_OGG_HEAD_BYTES):
        if head[:4] != b"OggS":
            raise ValueError("an Ogg page must start with OggS")
        lacing = file.read(head[26])
        yield head + lacing + file.read(sum(lacing))


_WRITERS: Mapping[str, Callable[[Path, Path, Tags], None]] = {
    ".mp3": _mp3,
    ".wav": _wav,
    ".flac": _flac,
    ".m4a": _mp4,
    ".mp4": _mp4,
    ".opus": _opus,
}
