"""Ogg pages, and the links (songs) of a chained file (RFC 3533).

Data is missing if the file ends inside a page, if no page completes a packet, or if
page numbers are missing between two pages with audio. These prove nothing: a missing
end-of-stream flag (recorders that are switched off leave it out), bytes behind the last
page, and a stream that does not start at 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from serve_app.audio.splice import find, read_at
from serve_app.errors import UnreadableAudio

# Followed by the version, 0.
CAPTURE = b"OggS\0"

_HEADER_BYTES = 27
_BEGIN_OF_STREAM = 0x02
_UNFINISHED = 255
_NO_GRANULE = -1

# FFmpeg's own limit.
_MOST_STREAMS = 1_000


@dataclass(frozen=True)
class _Page:
    start: int
    end: int
    flags: int
    granule: int
    serial: int
    number: int
    ends_in_packet: bool
    is_cut: bool


@dataclass
class _Stream:
    last_granule: int = _NO_GRANULE
    last_number: int = -1
    ends_in_packet: bool = False
    has_gap: bool = False

    def add(self, page: _Page) -> None:
        # In a recording that joined a stream late, headers are numbered from 0, audio
        # from any number: so only gaps between pages of audio count.
        if self.last_granule > 0 and page.number > self.last_number + 1:
            self.has_gap = True
        self.last_number, self.ends_in_packet = page.number, page.ends_in_packet
        if page.granule != _NO_GRANULE:
            self.last_granule = page.granule


@dataclass
class Link:
    """A song in an Ogg file: its range of bytes, and its streams in order of start."""

    start: int
    end: int
    has_cut_page: bool = False
    has_strays: bool = False
    streams: dict[int, _Stream] = field(default_factory=dict)

    def add(self, page: _Page, end: int) -> None:
        """Add the next page, which ends at `end`."""
        self.end = end
        self.has_cut_page |= page.is_cut
        is_new = page.serial not in self.streams
        if is_new and page.flags & _BEGIN_OF_STREAM:
            self.streams[page.serial] = _Stream()
        elif is_new:
            self.has_strays = True
            return
        if len(self.streams) > _MOST_STREAMS:
            raise UnreadableAudio(
                f"The Ogg file has more than {_MOST_STREAMS} parallel streams. Export "
                "the song again."
            )
        self.streams[page.serial].add(page)

    def last_granule(self, index: int) -> int:
        """Return the granule position at the end of the link's stream `index`."""
        streams = list(self.streams.values())
        return streams[index].last_granule if index < len(streams) else _NO_GRANULE

    @property
    def is_cut(self) -> bool:
        """Whether the end of a page or of a packet is missing."""
        unfinished = (stream.ends_in_packet for stream in self.streams.values())
        return self.has_cut_page or any(unfinished)

    @property
    def has_gap(self) -> bool:
        """Whether pages are missing inside a stream, or at its start."""
        gaps = (stream.has_gap for stream in self.streams.values())
        return self.has_strays or any(gaps)


def links(file: BinaryIO, size_bytes: int) -> Iterator[Link]:
    """Yield the links (songs) of an Ogg file in order."""
    link: Link | None = None
    is_beginning = False
    for page in _pages(file, size_bytes):
        begins = bool(page.flags & _BEGIN_OF_STREAM)
        if link is None or (begins and not is_beginning):
            if link is not None:
                yield link
            link = Link(page.start, page.end)
        is_beginning = begins
        link.add(page, min(page.end, size_bytes))
    if link is not None:
        yield link


def _pages(file: BinaryIO, size_bytes: int) -> Iterator[_Page]:
    position = 0
    while position < size_bytes:
        data = read_at(file, position, _HEADER_BYTES + 255)
        if not data.startswith(CAPTURE):
            found = find(file, CAPTURE, position, size_bytes)
            if found is None:
                return
            position = found
            continue
        page = _page(data, position, size_bytes)
        if not read_at(file, page.end, len(CAPTURE)).startswith(CAPTURE):
            page = _without_another(file, page, min(page.end, size_bytes))
        yield page
        position = page.end


def _without_another(file: BinaryIO, page: _Page, end: int) -> _Page:
    """Cut a truncated page where another page begins inside it."""
    inside = find(file, CAPTURE, page.start + len(CAPTURE), end)
    return page if inside is None else replace(page, end=inside, is_cut=True)


def _page(data: bytes, start: int, size_bytes: int) -> _Page:
    segments = data[26] if len(data) >= _HEADER_BYTES else 255
    table = data[_HEADER_BYTES : _HEADER_BYTES + segments]
    end = start + _HEADER_BYTES + segments + sum(table)
    return _Page(
        start=start,
        end=end if len(table) == segments else size_bytes + 1,
        flags=data[5] if len(data) > 5 else 0,
        granule=int.from_bytes(data[6:14], "little", signed=True),
        serial=int.from_bytes(data[14:18], "little"),
        number=int.from_bytes(data[18:22], "little"),
        ends_in_packet=table[-1:] == bytes([_UNFINISHED]),
        is_cut=len(table) < segments or end > size_bytes,
    )
