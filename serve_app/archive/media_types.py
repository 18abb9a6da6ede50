"""The media that is archived, recognised by its first bytes."""

from dataclasses import dataclass

# Enough for three packets of MPEG-TS, and for the start of EBML.
HEAD_BYTES = 1024
_TS_PACKET_BYTES, _TS_SYNC = 188, 0x47
_TS_PACKETS = 3
# ISO/IEC 14496-12: what a file may begin with, beside `ftyp`.
_OLD_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip")
# Brands of images, in the same container.
_IMAGES = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ")


@dataclass(frozen=True)
class MediaType:
    """A media type, the usual extension, and FFmpeg's name of the container."""

    name: str
    extension: str
    container: str


MP4 = MediaType("video/mp4", "mp4", "mov")
M4A = MediaType("audio/mp4", "m4a", "mov")
_QUICKTIME = MediaType("video/quicktime", "mov", "mov")
_M4V = MediaType("video/mp4", "m4v", "mov")
_WEBM = MediaType("video/webm", "webm", "matroska")
_MATROSKA = MediaType("video/x-matroska", "mkv", "matroska")
MP3 = MediaType("audio/mpeg", "mp3", "mp3")
AAC = MediaType("audio/aac", "aac", "aac")
_OGG = MediaType("audio/ogg", "ogg", "ogg")
_OGV = MediaType("video/ogg", "ogv", "ogg")
_OPUS = MediaType("audio/ogg", "opus", "ogg")
_FLAC = MediaType("audio/flac", "flac", "flac")
_WAV = MediaType("audio/wav", "wav", "wav")
MPEG_TS = MediaType("video/mp2t", "ts", "mpegts")


def of(head: bytes) -> MediaType | None:
    """Return the type of media that begins with `head`, or None if it is none.

    `head` has the first HEAD_BYTES, or all if there are fewer.
    """
    if head[4:8] == b"ftyp":
        return _of_brand(head[8:12])
    if head[4:8] in _OLD_BOXES:
        return _QUICKTIME
    if head.startswith(bytes.fromhex("1a45dfa3")):
        return _of_ebml(head)
    if head.startswith(b"OggS"):
        return _of_ogg(head)
    if head.startswith(b"fLaC"):
        return _FLAC
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _WAV
    if is_mpeg_ts(head):
        return MPEG_TS
    return _of_frames(head)


def is_playlist(head: bytes) -> bool:
    """Return whether a document begins as a playlist does (RFC 8216, 4.1)."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U")


def is_mpeg_ts(head: bytes) -> bool:
    """Return whether packets of MPEG-TS begin here: three, or as many as there are."""
    starts = head[: _TS_PACKETS * _TS_PACKET_BYTES : _TS_PACKET_BYTES]
    return len(head) >= _TS_PACKET_BYTES and all(byte == _TS_SYNC for byte in starts)


def description(head: bytes) -> str:
    """Return in words what begins with `head`, if it is no media."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        return "nothing"
    if start.startswith(b"<"):
        return "a web page or XML"
    if start.startswith((b"{", b"[")):
        return "JSON"
    if is_playlist(head):
        return "a playlist"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8")) or _is_image(head):
        return "an image"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"Rar!")):
        return "a compressed file"
    return "data of another type"


def _is_image(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _IMAGES


def _of_brand(brand: bytes) -> MediaType | None:
    if brand in _IMAGES:
        return None
    if brand == b"qt  ":
        return _QUICKTIME
    if brand in (b"M4A ", b"M4B "):
        return M4A
    return _M4V if brand == b"M4V " else MP4


def _of_ebml(head: bytes) -> MediaType | None:
    if b"webm" in head[:HEAD_BYTES]:
        return _WEBM
    return _MATROSKA if b"matroska" in head[:HEAD_BYTES] else None


def _of_ogg(head: bytes) -> MediaType:
    if b"OpusHead" in head[:128]:
        return _OPUS
    return _OGV if b"\x80theora" in head else _OGG


def _of_frames(head: bytes) -> MediaType | None:
    """Return the type of bare audio frames, which may follow an ID3 tag."""
    frame = head
    if head.startswith(b"ID3") and len(head) >= 10:
        tag_bytes = 0
        for byte in head[6:10]:
            tag_bytes = tag_bytes << 7 | byte & 0x7F
        frame = head[10 + tag_bytes :]
        if len(frame) < 4:
            return MP3
    if len(frame) < 4 or frame[0] != 0xFF:
        return None
    # ISO/IEC 13818-7: the sync word, and layer 0.
    if frame[1] & 0xF6 == 0xF0:
        return AAC
    # ISO/IEC 11172-3: the sync word, layer III, and neither reserved nor free values.
    is_layer_3 = frame[1] & 0xE6 == 0xE2 and frame[1] & 0x18 != 0x08
    is_valid = frame[2] >> 4 not in (0, 15) and frame[2] & 0x0C != 0x0C
    return MP3 if is_layer_3 and is_valid else None
