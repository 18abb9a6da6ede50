"""Containers put together byte by byte, as programs in the field write them."""

import io
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soundfile
from av.audio import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

Wave = NDArray[np.float32]

SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
W64_TAIL = {
    b"riff": bytes.fromhex("2e91cf11a5d628db04c10000"),
    b"wave": bytes.fromhex("f3acd3118cd100c04f8edb8a"),
    b"fmt ": bytes.fromhex("f3acd3118cd100c04f8edb8a"),
    b"data": bytes.fromhex("f3acd3118cd100c04f8edb8a"),
    b"list": bytes.fromhex("f3acd3118cd100c04f8edb8a"),
}


# Plain FFmpeg, to compare with.


def decoded_by_ffmpeg(path: Path) -> tuple[int, int]:
    """Return rate and samples of the first audio track as FFmpeg alone reads it."""
    with av.open(str(path)) as container:
        assert isinstance(container, InputContainer)
        frames = list(container.decode(container.streams.audio[0]))
        return frames[0].sample_rate, sum(frame.samples for frame in frames)


# Chunks.


def chunk(name: bytes, data: bytes, order: str = "<", size: int | None = None) -> bytes:
    """Return a RIFF or AIFF chunk, padded, that says `size` or the truth."""
    stated = len(data) if size is None else size
    return name + struct.pack(f"{order}I", stated) + data + b"\0" * (len(data) % 2)


def wav_format(
    *,
    bits: int,
    valid_bits: int | None = None,
    channels: int = 2,
    sample_rate: int = 44_100,
    code: int = 1,
) -> bytes:
    """Return a fmt chunk's contents; with `valid_bits` it is WAVE_FORMAT_EXTENSIBLE."""
    frame_bytes = channels * ((bits + 7) // 8)
    fields = (channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits)
    if valid_bits is None:
        return struct.pack("<HHIIHH", code, *fields)
    head = struct.pack("<HHIIHH", 0xFFFE, *fields)
    return head + struct.pack("<HHIH", 22, valid_bits, 3, code) + SUBFORMAT


def riff(*chunks: bytes) -> bytes:
    """Return a RIFF WAVE file."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rf64(fmt: bytes, data: bytes, data_bytes: int | None = None) -> bytes:
    """Return an RF64 file whose ds64 chunk says `data_bytes` or the truth."""
    stated = len(data) if data_bytes is None else data_bytes
    whole = 4 + 36 + 8 + len(fmt) + 8 + len(data)
    sizes = chunk(b"ds64", struct.pack("<QQQI", whole, stated, 0, 0))
    body = b"WAVE" + sizes + chunk(b"fmt ", fmt) + chunk(b"data", data, size=2**32 - 1)
    return b"RF64" + struct.pack("<I", 2**32 - 1) + body


def w64(fmt: bytes, data: bytes, data_bytes: int | None = None) -> bytes:
    """Return a Wave64 file whose data chunk says `data_bytes` or the truth."""
    stated = len(data) if data_bytes is None else data_bytes
    body = b"wave" + W64_TAIL[b"wave"]
    body += b"fmt " + W64_TAIL[b"fmt "] + struct.pack("<Q", 24 + len(fmt))
    body += fmt + bytes(-len(fmt) % 8)
    body += b"data" + W64_TAIL[b"data"] + struct.pack("<Q", 24 + stated) + data
    return b"riff" + W64_TAIL[b"riff"] + struct.pack("<Q", 24 + len(body)) + body


def aiff(data: bytes, *, frames: int, data_bytes: int | None = None) -> bytes:
    """Return a stereo AIFF of 16 bits at 44.1 kHz that says what it is told to."""
    rate = bytes.fromhex("400eac44000000000000")  # 44100 as 80 bits
    common = chunk(b"COMM", struct.pack(">hIh", 2, frames, 16) + rate, ">")
    stated = len(data) if data_bytes is None else data_bytes
    sound = chunk(b"SSND", bytes(8) + data, ">", 8 + stated)
    body = b"AIFF" + common + sound
    return b"FORM" + struct.pack(">I", len(body)) + body


def caf(data: bytes, *, data_bytes: int | None = None) -> bytes:
    """Return a stereo CAF of 16 bits, little-endian, at 44.1 kHz."""
    description = struct.pack(">d4sIIIII", 44_100, b"lpcm", 2, 4, 1, 2, 16)
    stated = 4 + (len(data) if data_bytes is None else data_bytes)
    body = b"desc" + struct.pack(">q", len(description)) + description
    return b"caff\0\1\0\0" + body + b"data" + struct.pack(">qI", stated, 0) + data


def libsndfile_caf(wave: Wave, subtype: str, sample_rate: int = 44_100) -> bytes:
    """Return a CAF as libsndfile writes it, its packet table before its sound."""
    file = io.BytesIO()
    soundfile.write(file, wave.T, sample_rate, format="CAF", subtype=subtype)
    return file.getvalue()


def au(data: bytes, *, data_bytes: int | None = None) -> bytes:
    """Return a stereo AU of 16 bits at 44.1 kHz."""
    stated = len(data) if data_bytes is None else data_bytes
    return b".snd" + struct.pack(">IIIII", 28, stated, 3, 44_100, 2) + bytes(4) + data


# Tags.


def id3v2(size_bytes: int) -> bytes:
    """Return an ID3v2.3 tag with a picture of so many random bytes."""
    picture = np.random.default_rng(3).bytes(size_bytes)
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame


def id3v1() -> bytes:
    """Return an ID3v1 tag."""
    return b"TAG" + b"Title".ljust(125, b"\0")


def ape() -> bytes:
    """Return an APEv2 tag with one item, its header and its footer."""
    item = struct.pack("<II", 6, 0) + b"Artist\0Nobody"
    size = len(item) + 32

    def end(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIIIQ", 2000, size, 1, flags, 0)

    return end(0xA000_0000) + item + end(0x8000_0000)


# Ogg.


@dataclass(frozen=True)
class Page:
    """A page of an Ogg file."""

    flags: int
    granule: int
    serial: int
    number: int
    table: bytes
    data: bytes

    def __bytes__(self) -> bytes:
        head = b"OggS\0" + struct.pack(
            "<BqIII", self.flags, self.granule, self.serial, self.number, 0
        )
        page = head + bytes([len(self.table)]) + self.table + self.data
        return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def pages(data: bytes) -> list[Page]:
    """Return the pages of an Ogg file."""
    found, position = [], 0
    while position < len(data):
        flags, granule, serial, number, _, segments = struct.unpack_from(
            "<BqIIIB", data, position + 5
        )
        start = position + 27
        table = data[start : start + segments]
        position = start + segments + sum(table)
        body = data[start + segments : position]
        found.append(Page(flags, granule, serial, number, table, body))
    return found


def ogg(of: Iterable[Page], **changes: int) -> bytes:
    """Return the Ogg file of these pages, each with `changes`."""
    return b"".join(bytes(replace(page, **cast(Any, changes))) for page in of)


def _ogg_table() -> list[int]:
    table = []
    for value in range(256):
        value <<= 24
        for _ in range(8):
            value = value << 1 ^ (0x1_04C1_1DB7 if value >> 31 else 0)
        table.append(value)
    return table


_OGG_TABLE = _ogg_table()


def _ogg_crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF_FFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value


# What FFmpeg muxes.


@dataclass(frozen=True)
class Track:
    """An audio track to write. `start_seconds` is when its sound begins."""

    codec: str
    wave: Wave
    sample_rate: int = 48_000
    bit_rate: int = 192_000
    disposition: int | None = None
    start_seconds: float = 0.0


def mux(
    path: Path,
    container: str,
    tracks: Sequence[Track],
    *,
    video_codec: str | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Write tracks, and a picture if a codec for it is named, into a container."""
    with av.open(
        str(path), "w", format=container, container_options=options or {}
    ) as output:
        video = None
        if video_codec is not None:
            video = cast(Any, output.add_stream(video_codec, rate=25))
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        streams = [_add_track(output, track) for track in tracks]
        if video is not None:
            image = np.zeros((64, 64, 3), dtype=np.uint8)
            longest = max(t.wave.shape[1] / t.sample_rate for t in tracks)
            for _ in range(round(25 * longest)):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
        for track, stream in zip(tracks, streams, strict=True):
            _write_track(output, stream, track)


def _add_track(output: Any, track: Track) -> AudioStream:
    stream = cast(
        AudioStream,
        output.add_stream(
            track.codec, rate=track.sample_rate, options={"strict": "-2"}
        ),
    )
    stream.layout = {1: "mono", 2: "stereo"}[len(track.wave)]
    stream.bit_rate = track.bit_rate
    if track.disposition is not None:
        cast(Any, stream).disposition = track.disposition
    return stream


def _write_track(output: Any, stream: AudioStream, track: Track) -> None:
    packed = np.ascontiguousarray(track.wave.T).reshape(1, -1)
    layout = {1: "mono", 2: "stereo"}[len(track.wave)]
    frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
    frame.sample_rate = track.sample_rate
    frame.pts = round(track.start_seconds * track.sample_rate)
    frame.time_base = Fraction(1, track.sample_rate)
    resampler = av.AudioResampler(
        stream.format, layout, track.sample_rate, frame_size=stream.frame_size or 0
    )
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        output.mux(stream.encode(part))
    output.mux(stream.encode(None))
