"""Detect truncated files: containers whose structure runs past the end of the file.

A file that ends inside a box, element, packet, block or frame is truncated. One that
ends between two of them may be complete, and counts as complete.
"""

from collections.abc import Callable
from typing import BinaryIO

from serve_app.audio.splice import read_at

# ISO/IEC 14496-12 and QuickTime: the boxes of the top level.
_BOXES = (
    *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"moof", b"mfra"),
    *(b"sidx", b"ssix", b"styp", b"meta", b"pdin", b"prft", b"emsg", b"pnot", b"udta"),
)

# RFC 9559, 5.1: the elements of a file, of a segment and of a cluster.
_SEGMENT, _CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")
_ELEMENTS: tuple[bytes, ...] = (
    *(_SEGMENT, _CLUSTER, bytes.fromhex("1a45dfa3"), bytes.fromhex("114d9b74")),
    *(bytes.fromhex("1549a966"), bytes.fromhex("1654ae6b"), bytes.fromhex("1c53bb6b")),
    *(bytes.fromhex("1941a469"), bytes.fromhex("1043a770"), bytes.fromhex("1254c367")),
    *(b"\xec", b"\xbf"),
)
_IN_CLUSTER = (b"\xe7", b"\x58\x54", b"\xa7", b"\xab", b"\xa3", b"\xa0", b"\xaf")

_TS_SYNC = 0x47
# As broadcast, with time codes (Blu-ray, cameras), and with parity bytes.
_TS_PACKET_BYTES = (188, 192, 204)
_PS_TAIL_BYTES = 2 * 65_536
_START_CODE = b"\x00\x00\x01"
_PACK, _PROGRAM_END, _FIRST_PES = 0xBA, 0xB9, 0xBB

_GSM_FRAME_BYTES = 33

# The bytes before the header's first object, and the object with the file's size.
_ASF_HEADER_BYTES = 30
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_PROPERTIES_BYTES = 92

# 3GPP TS 26.101 and 26.201: frame sizes by frame type, in RFC 4867's file format.
_AMR_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, *[1] * 7)
_AMR_WB_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, *[1] * 6)
_AMR_MAGIC, _AMR_WB_MAGIC = b"#!AMR\n", b"#!AMR-WB\n"


def is_cut_short(file: BinaryIO, container: str) -> bool:
    """Whether a file is truncated; `container` is FFmpeg's name of its container."""
    check = _CHECKS.get(container)
    return check is not None and check(file, file.seek(0, 2))


def _avi_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    position = 12
    while position + 12 <= size_bytes:
        name, chunk_bytes, kind = _riff_chunk(file, position)
        if (name, kind) == (b"LIST", b"movi"):
            return position + 8 + chunk_bytes > size_bytes
        position += 8 + chunk_bytes + chunk_bytes % 2
    return False


def _riff_chunk(file: BinaryIO, position: int) -> tuple[bytes, int, bytes]:
    data = read_at(file, position, 12)
    return data[:4], int.from_bytes(data[4:8], "little"), data[8:]


def _boxes_are_cut(file: BinaryIO, size_bytes: int) -> bool:
    """ISO/IEC 14496-12, 4.2: a sequence of boxes, each with its size."""
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        box_bytes = int.from_bytes(file.read(4), "big")
        name = file.read(4)
        if box_bytes == 1:
            box_bytes = int.from_bytes(file.read(8), "big")
        if box_bytes < 8 or name not in _BOXES:
            return False
        position += box_bytes
    return position > size_bytes


def _elements_are_cut(file: BinaryIO, size_bytes: int) -> bool:
    """RFC 8794, 6.2: a sequence of elements, each with its size.

    An element of unknown size, as in live recordings, is followed by its children.
    """
    position, names = 0, _ELEMENTS
    while position < size_bytes:
        file.seek(position)
        name = _ebml_name(file)
        if name not in names:
            # Either a name that the end of the file cuts off, or not an element.
            is_rest = position + len(name) == size_bytes
            return is_rest and any(known.startswith(name) for known in names)
        element_bytes = _ebml_size(file)
        position = file.tell() + (element_bytes or 0)
        if name == _SEGMENT and element_bytes is not None:
            break
        if name == _CLUSTER:
            is_open = element_bytes is None
            names = _ELEMENTS + _IN_CLUSTER if is_open else _ELEMENTS
    return position > size_bytes


def _ebml_name(file: BinaryIO) -> bytes:
    first = file.read(1)
    return first + file.read(8 - first[0].bit_length())


def _ebml_size(file: BinaryIO) -> int | None:
    """Read an element's size; None if it is unknown."""
    first = file.read(1)
    if first == b"\0":
        return None
    # A size field cut off by the end of the file is filled up to a value past the end.
    length = 9 - first[0].bit_length() if first else 1
    data = (first + file.read(length - 1)).ljust(length, b"\x7e")
    unknown = (1 << 7 * length) - 1
    value = int.from_bytes(data, "big") & unknown
    return None if value == unknown else value


def _klv_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """SMPTE ST 336 and 377-1: keys of 16 bytes, each with the length of its value."""
    position = 0
    while position + 17 <= size_bytes:
        data = read_at(file, position, 25)
        if not data.startswith(b"\x06\x0e\x2b\x34"):
            return False
        wide = data[16] & 0x7F if data[16] & 0x80 else 0
        length = int.from_bytes(data[17 : 17 + wide], "big") if wide else data[16]
        position += 17 + wide + length
    return position > size_bytes


def _ts_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """ISO/IEC 13818-1, 2.4.3.2: packets of constant size."""
    for packet_bytes in _TS_PACKET_BYTES:
        lead = 4 if packet_bytes == 192 else 0
        starts = [lead + packet_bytes * index for index in range(4)]
        if all(read_at(file, start, 1) == bytes([_TS_SYNC]) for start in starts):
            return size_bytes % packet_bytes != 0
    return False


def _ps_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """ISO/IEC 13818-1, 2.5.3: packs of packets, each with its size."""
    start = max(0, size_bytes - _PS_TAIL_BYTES)
    tail = read_at(file, start, _PS_TAIL_BYTES)
    position = tail.find(_START_CODE + bytes([_PACK]))
    while 0 <= position < len(tail):
        head = tail[position : position + 14]
        if not head.startswith(_START_CODE) or len(head) < 6:
            return _START_CODE.startswith(head[:3])
        if head[3] == _PROGRAM_END:
            return False
        if head[3] == _PACK:
            # MPEG-1's header has 12 bytes; MPEG-2's has 14 and states its stuffing.
            is_first = head[4] >> 4 == 2
            position += 12 if is_first else 14 + (head[-1] & 7)
        elif head[3] >= _FIRST_PES:
            position += 6 + int.from_bytes(head[4:6], "big")
        else:
            return False
    return position > len(tail)


def _voc_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """Creative Voice: blocks, each with its type and size; type 0 ends the file."""
    position = int.from_bytes(read_at(file, 20, 2), "little")
    while position + 4 <= size_bytes:
        head = read_at(file, position, 4)
        if head[0] == 0:
            return False
        position += 4 + int.from_bytes(head[1:], "little")
    return position > size_bytes


def _gsm_is_cut(_: BinaryIO, size_bytes: int) -> bool:
    return size_bytes % _GSM_FRAME_BYTES != 0


def _amr_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    is_wide = read_at(file, 0, len(_AMR_WB_MAGIC)) == _AMR_WB_MAGIC
    sizes = _AMR_WB_BYTES if is_wide else _AMR_BYTES
    position = len(_AMR_WB_MAGIC if is_wide else _AMR_MAGIC)
    while position < size_bytes:
        position += sizes[read_at(file, position, 1)[0] >> 3 & 15]
    return position > size_bytes


def _asf_is_cut(file: BinaryIO, size_bytes: int) -> bool:
    """ASF specification 01.20.05, 3.2: the file properties state the file's size.

    They don't if the broadcast flag is set.
    """
    position = _ASF_HEADER_BYTES
    while position + _ASF_PROPERTIES_BYTES <= size_bytes:
        head = read_at(file, position, _ASF_PROPERTIES_BYTES)
        if head[:16] == _ASF_PROPERTIES:
            is_broadcast = head[88] & 1
            return (
                not is_broadcast and int.from_bytes(head[40:48], "little") > size_bytes
            )
        object_bytes = int.from_bytes(head[16:24], "little")
        if object_bytes < 24:
            return False
        position += object_bytes
    return False


_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "amr": _amr_is_cut,
    "asf": _asf_is_cut,
    "avi": _avi_is_cut,
    "gsm": _gsm_is_cut,
    "matroska": _elements_are_cut,
    "mov": _boxes_are_cut,
    "mpeg": _ps_is_cut,
    "mpegts": _ts_is_cut,
    "mxf": _klv_is_cut,
    "voc": _voc_is_cut,
}
