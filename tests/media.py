"""Songs to test with, good and bad, written where the test wants them.

Nothing here reads a file of the repository or needs a program: what a library can't
write, because it is wrong, is put together byte by byte.
"""

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soundfile
from av.audio import AudioStream
from av.container import OutputContainer
from av.video import VideoStream
from numpy.typing import NDArray

Wave = NDArray[np.float32]

SECONDS_PER_HOUR = 3600

# What `write_song` can write: kind -> file suffix.
KINDS = {
    "mp3": ".mp3",
    "wav8": ".wav",
    "wav16": ".wav",
    "wav24": ".wav",
    "wav32": ".wav",
    "wavfloat": ".wav",
    "wavdouble": ".wav",
    "flac": ".flac",
    "ogg": ".ogg",
    "opus": ".opus",
    "m4a": ".m4a",
    "alac": ".m4a",
    "aiff": ".aiff",
    "mp4": ".mp4",
    "mkv": ".mkv",
    "webm": ".webm",
}

# Raw AAC, `aac`, can be written too; it can't say where a song begins and ends.

# Opus knows no other rates but 48 kHz and its fractions.
_OPUS_RATE = 48_000
_OPUS_KINDS = ("opus", "webm")

_SOUNDFILE = {
    "wav8": ("WAV", "PCM_U8"),
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wav32": ("WAV", "PCM_32"),
    "wavfloat": ("WAV", "FLOAT"),
    "wavdouble": ("WAV", "DOUBLE"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"),
}

# kind -> container, audio codec, sample format, video codec
_PYAV = {
    "mp3": ("mp3", "libmp3lame", "flt", None),
    "opus": ("ogg", "libopus", "flt", None),
    "m4a": ("ipod", "aac", "flt", None),
    "aac": ("adts", "aac", "flt", None),
    "alac": ("ipod", "alac", "s16", None),
    "mp4": ("mp4", "aac", "flt", "mpeg4"),
    "mkv": ("matroska", "aac", "flt", "mpeg4"),
    "webm": ("webm", "libopus", "flt", "libvpx"),
}


def song(
    seconds: float, sample_rate: int = 44_100, channels: int = 2, seed: int = 0
) -> Wave:
    """Make music (channels, samples) with a peak of 0.5 and no period.

    Noise below 3.5 kHz under a few tones: every codec keeps it at any sample rate, and
    its cross-correlation with itself has one peak.
    """
    random = np.random.default_rng(seed)
    samples = max(1, round(seconds * sample_rate))
    time = np.arange(samples) / sample_rate
    noise = random.standard_normal((channels, samples))
    spectrum = np.fft.rfft(noise)
    spectrum[:, np.fft.rfftfreq(samples, 1 / sample_rate) > 3500] = 0
    wave = np.fft.irfft(spectrum, n=samples) * 0.3
    for hertz in (220.0, 277.2, 329.6):
        wave += 0.2 * np.sin(2 * np.pi * hertz * time + random.uniform(0, 6))
    return np.asarray(wave * (0.5 / np.abs(wave).max()), dtype=np.float32)


def sine(
    seconds: float, sample_rate: int = 44_100, hertz: float = 440.0, peak: float = 0.5
) -> Wave:
    """Make a sine (2, samples)."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = peak * np.sin(2 * np.pi * hertz * time)
    return np.asarray(np.stack([wave, wave]), dtype=np.float32)


def write_song(
    path: Path,
    kind: str = "wav16",
    *,
    seconds: float = 2.0,
    sample_rate: int | None = None,
    channels: int = 2,
) -> Wave:
    """Write a song of one of KINDS, at its `usual_rate` unless another is named.

    Returns what went into the encoder.
    """
    rate = usual_rate(kind) if sample_rate is None else sample_rate
    wave = song(seconds, rate, channels)
    write_wave(path, wave, rate, kind)
    return wave


def usual_rate(kind: str) -> int:
    """Return the sample rate in Hz that `write_song` takes for `kind`."""
    return _OPUS_RATE if kind in _OPUS_KINDS else 44_100


def write_wave(path: Path, wave: Wave, sample_rate: int, kind: str = "wav16") -> None:
    """Write `wave` (channels, samples) as one of KINDS."""
    if kind in _SOUNDFILE:
        container, subtype = _SOUNDFILE[kind]
        with soundfile.SoundFile(
            path, "w", sample_rate, len(wave), subtype, format=container
        ) as file:
            # libvorbis overflows its stack when it gets a long song at once.
            for start in range(0, wave.shape[1], 65_536):
                file.write(wave[:, start : start + 65_536].T)
        return
    _encode(path, wave, sample_rate, kind)


def _encode(path: Path, wave: Wave, sample_rate: int, kind: str) -> None:
    container, codec, sample_format, video_codec = _PYAV[kind]
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[len(wave)]
    with av.open(str(path), "w", format=container) as output:
        # Every stream is declared before the first packet: that writes the header.
        video = None if video_codec is None else _add_video(output, video_codec)
        stream = cast(AudioStream, output.add_stream(codec, rate=sample_rate))
        stream.layout, stream.bit_rate = layout, 192_000
        if video is not None:
            _write_video(output, video, wave.shape[1] / sample_rate)
        for start in range(0, wave.shape[1], 65_536):
            block = _as_format(wave[:, start : start + 65_536], sample_format)
            frame = av.AudioFrame.from_ndarray(block, sample_format, layout)
            frame.sample_rate = sample_rate
            frame.pts = start
            frame.time_base = Fraction(1, sample_rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _as_format(block: Wave, sample_format: str) -> Any:
    packed = np.ascontiguousarray(block.T).reshape(1, -1)
    if sample_format == "s16":
        return np.round(packed * 32767).astype(np.int16)
    return packed


def _add_video(output: OutputContainer, codec: str) -> VideoStream:
    stream = cast(VideoStream, output.add_stream(codec, rate=10))
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    return stream


def _write_video(output: OutputContainer, stream: VideoStream, seconds: float) -> None:
    for index in range(max(1, round(seconds * 10))):
        image = np.full((64, 64, 3), index % 256, dtype=np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    output.mux(stream.encode(None))


# Bad inputs. Each takes the path to write and leaves a file there.


def write_empty(path: Path) -> None:
    """Write a file of no bytes."""
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    """Write prose, whatever the file is called."""
    path.write_text("These are the words to a song, but not the song.\n" * 200)


def write_garbage(path: Path, size_bytes: int = 50_000, seed: int = 0) -> None:
    """Write random bytes."""
    path.write_bytes(np.random.default_rng(seed).bytes(size_bytes))


def write_truncated(path: Path, kind: str = "mp3", keep: float = 0.6) -> None:
    """Write a song of one of KINDS and cut its end off, at no frame's border."""
    write_song(path, kind, seconds=4.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])


def write_damaged(path: Path, kind: str = "flac") -> None:
    """Write a song of one of KINDS and overwrite a stretch in its middle."""
    write_song(path, kind, seconds=4.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    size = min(20_000, len(data) // 5)
    data[middle : middle + size] = np.random.default_rng(1).bytes(size)
    path.write_bytes(data)


def write_pcm_wav(
    path: Path,
    *,
    sample_rate: int,
    channels: int = 2,
    samples: int = 1_000,
    claimed_bytes: int | None = None,
) -> None:
    """Write 16-bit silence under a header that says whatever it is told to."""
    data = bytes(2 * channels * samples)
    size = len(data) if claimed_bytes is None else claimed_bytes
    byte_rate = sample_rate * channels * 2
    layout = struct.pack(
        "<HHIIHH", 1, channels, sample_rate, byte_rate, channels * 2, 16
    )
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + chunks)


def write_zero_hertz(path: Path) -> None:
    """Write a wav whose header claims a sample rate of 0 Hz."""
    write_pcm_wav(path, sample_rate=0)


def write_384_kilohertz(path: Path) -> None:
    """Write a valid wav at 384 kHz."""
    write_pcm_wav(path, sample_rate=384_000, samples=38_400)


def write_no_samples(path: Path) -> None:
    """Write a wav that has a header and no audio."""
    write_pcm_wav(path, sample_rate=44_100, samples=0)


def write_nan(path: Path, value: float = float("nan")) -> None:
    """Write a float wav in which one sample is not a number (or is `value`)."""
    wave = song(1.0)
    wave[0, 20_000] = value
    write_wave(path, wave, 44_100, "wavfloat")


def write_silent_video(path: Path) -> None:
    """Write an mp4 that has pictures and no audio stream."""
    with av.open(str(path), "w", format="mp4") as output:
        _write_video(output, _add_video(output, "mpeg4"), 2.0)


def write_image(path: Path) -> None:
    """Write a PNG."""
    path.write_bytes(png())


def png(size: int = 32) -> bytes:
    """Return a grey PNG of `size` by `size` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * size) * size)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def write_mp3_with_cover(path: Path, seconds: float = 2.0) -> Wave:
    """Write a good mp3 with a picture in its ID3 tag; return what was encoded."""
    wave = write_song(path, "mp3", seconds=seconds)
    picture = b"\0image/png\0\x03cover\0" + png(256)
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + size + frame + path.read_bytes())
    return wave


def write_playlist(path: Path, target: Path) -> None:
    """Write an HLS playlist whose one segment is the file `target`."""
    path.write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n"
        f"#EXTINF:2.0,\n{target}\n#EXT-X-ENDLIST\n"
    )


def write_concat_script(path: Path, target: Path) -> None:
    """Write an ffconcat script that includes the file `target`."""
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n")


def write_silence_bomb(
    path: Path, hours: float = 24.0, claimed_samples: int | None = None
) -> None:
    """Write a FLAC of a megabyte or two that decodes to `hours` of stereo silence.

    `claimed_samples` is what its header says instead of the truth; 0 is "unknown".
    """
    sample_rate, block = 44_100, 65_535
    blocks = max(1, round(hours * SECONDS_PER_HOUR * sample_rate / block))
    claimed = blocks * block if claimed_samples is None else claimed_samples
    facts = sample_rate << 44 | 1 << 41 | 15 << 36 | claimed
    info = struct.pack(">HH", block, block) + bytes(6) + facts.to_bytes(8, "big")
    with path.open("wb") as file:
        file.write(b"fLaC\x80" + (34).to_bytes(3, "big") + info + bytes(16))
        for number in range(blocks):
            file.write(_silent_flac_frame(number, block))


def _silent_flac_frame(number: int, block: int) -> bytes:
    # 0x79: block size in 16 bits, 44.1 kHz. 0x18: two channels of 16 bits.
    header = b"\xff\xf8\x79\x18" + _utf8(number) + struct.pack(">H", block - 1)
    header += bytes([_crc(header, _CRC8, 8)])
    frame = header + bytes(6)  # two constant subframes, each of the value 0
    return frame + struct.pack(">H", _crc(frame, _CRC16, 16))


def _utf8(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass")


def _crc_table(polynomial: int, bits: int) -> list[int]:
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) & 1 else 0)
        table.append(value & (1 << bits) - 1)
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


def _crc(data: bytes, table: list[int], bits: int) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & (1 << bits) - 1) ^ table[value >> (bits - 8) ^ byte]
    return value


# name -> (suffix, writer): every bad file that needs no second file to be bad.
BAD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "empty": (".mp3", write_empty),
    "text": (".mp3", write_text),
    "garbage": (".mp3", write_garbage),
    "truncated mp3": (".mp3", write_truncated),
    "silence bomb": (".flac", write_silence_bomb),
    "0 Hz": (".wav", write_zero_hertz),
    "384 kHz": (".wav", write_384_kilohertz),
    "no samples": (".wav", write_no_samples),
    "NaN": (".wav", write_nan),
    "video without audio": (".mp4", write_silent_video),
    "image": (".png", write_image),
}
