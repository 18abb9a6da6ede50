"""What segments are made of, read from their first bytes without a decoder."""

from collections.abc import Iterator

from serve_app.archive import media_types
from serve_app.archive.errors import BrokenMedia, ProtectedMedia

# A segment begins with its tables, or soon has them.
HEAD_BYTES = 65_536
_PACKET_BYTES = 188
_PAT_PID = 0
# ISO/IEC 13818-1, table 2-34, and what ATSC and Apple assigned. Others are data.
_STREAM_TYPES = {
    **{0x01: "mpeg1video", 0x02: "mpeg2video", 0x10: "mpeg4", 0x1B: "h264"},
    **{0x24: "hevc", 0x33: "vvc", 0x03: "mpeg audio", 0x04: "mpeg audio"},
    **{0x0F: "aac", 0x11: "aac (LATM)", 0x81: "ac3", 0x87: "eac3"},
}
# Apple's SAMPLE-AES.
_PROTECTED_TYPES = (0xDB, 0xCF, 0xC1, 0xC2)
# ISO/IEC 14496-12: the boxes around the description of samples.
_OUTER_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_PROTECTED_ENTRIES = (b"encv", b"enca")
_FRAGMENT_BOXES = (b"styp", b"moof", b"sidx", b"emsg", b"prft", b"ftyp", b"moov")
_AUDIO = (media_types.AAC, media_types.MP3)
MPEG_TS, FRAGMENTS = "mpegts", "mov"


def container(head: bytes, has_map: bool) -> str:
    """Return FFmpeg's name of a segment's container; BrokenMedia if it is none."""
    if has_map or head[4:8] in _FRAGMENT_BOXES:
        if head[4:8] in (*_FRAGMENT_BOXES, b"free", b"skip", b"mdat"):
            return FRAGMENTS
    elif media_types.is_mpeg_ts(head):
        return MPEG_TS
    # An ID3 tag with the time is shorter than the first bytes.
    elif (found := media_types.of(head[: media_types.HEAD_BYTES])) in _AUDIO:
        return found.container
    raise BrokenMedia(
        f"a segment is {media_types.description(head)}, not MPEG-TS, MP4 or audio"
    )


def of_mpeg_ts(head: bytes) -> tuple[str, ...]:
    """Return the codecs of a segment of MPEG-TS, sorted; none if it doesn't say.

    Raises ProtectedMedia if the segment is encrypted by SAMPLE-AES.
    """
    tables: set[int] = set()
    for pid, section in _sections(head):
        if pid == _PAT_PID:
            programs = section[8:-4]
            for start in range(0, len(programs) - 3, 4):
                if programs[start : start + 2] != b"\0\0":
                    found = int.from_bytes(programs[start + 2 : start + 4], "big")
                    tables.add(found & 0x1FFF)
        elif pid in tables:
            return _of_table(section)
    return ()


def of_map(data: bytes) -> tuple[str, ...]:
    """Return the names of the sample descriptions in an initialisation section.

    Raises ProtectedMedia if the samples are encrypted.
    """
    found = []
    for description in _descriptions(data):
        for name, _ in _boxes(description[8:]):
            if name in _PROTECTED_ENTRIES:
                raise ProtectedMedia(
                    "The media is protected (Common Encryption). Protected media is "
                    "not fetched."
                )
            found.append(name.decode("latin-1"))
    return tuple(sorted(found))


def _of_table(section: bytes) -> tuple[str, ...]:
    """Return the codecs in a program map table (ISO/IEC 13818-1, 2.4.4.8)."""
    codecs = []
    position = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while position + 5 <= len(section) - 4:
        kind = section[position]
        if kind in _PROTECTED_TYPES:
            raise ProtectedMedia(
                "The media is protected (SAMPLE-AES). Protected media is not fetched."
            )
        if kind in _STREAM_TYPES:
            codecs.append(_STREAM_TYPES[kind])
        described = int.from_bytes(section[position + 3 : position + 5], "big")
        position += 5 + (described & 0xFFF)
    return tuple(sorted(codecs))


def _sections(head: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the PID and the section that begins in each packet, if it fits in one."""
    for start in range(0, len(head) - _PACKET_BYTES + 1, _PACKET_BYTES):
        packet = head[start : start + _PACKET_BYTES]
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        has_start, adaptation = packet[1] & 0x40, packet[3] >> 4 & 3
        payload = packet[5 + packet[4] :] if adaptation == 3 else packet[4:]
        if has_start and adaptation in (1, 3) and payload:
            section = payload[1 + payload[0] :]
            size_bytes = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
            if len(section) >= size_bytes:
                yield pid, section[:size_bytes]


def _descriptions(data: bytes) -> Iterator[bytes]:
    for name, content in _boxes(data):
        if name == b"stsd":
            yield content
        elif name in _OUTER_BOXES:
            yield from _descriptions(content)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size_bytes = int.from_bytes(data[position : position + 4], "big")
        if size_bytes < 8:
            return
        yield data[position + 4 : position + 8], data[position + 8 :][: size_bytes - 8]
        position += size_bytes
