"""HLS playlists and their segments, made with PyAV and cut here."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

RATE = 25
SAMPLE_RATE = 44_100
_SAMPLES = SAMPLE_RATE // RATE


@dataclass(frozen=True)
class Clip:
    """Moving pictures and a tone; `start_seconds` is where their clock begins."""

    seconds: float = 1.0
    start_seconds: float = 0.0
    video: str | None = "libx264"
    audio: str | None = "aac"
    size: tuple[int, int] = (128, 96)
    seed: int = 0


def encoded(clip: Clip, container: str = "mpegts", **options: str) -> bytes:
    """Return a clip as a file of a container (FFmpeg's name)."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        write(output, clip)
    return file.getvalue()


def write(output: Any, clip: Clip) -> None:
    """Encode a clip into a container that is open."""
    video = _video(output, clip) if clip.video else None
    audio = (
        output.add_stream(clip.audio, rate=SAMPLE_RATE, layout="stereo")
        if clip.audio
        else None
    )
    frames = round(clip.seconds * RATE)
    first = round(clip.start_seconds * RATE)
    for number in range(frames):
        if video is not None:
            frame = av.VideoFrame.from_ndarray(_picture(clip, number), "rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, RATE)
            output.mux(video.encode(frame))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(_sound(clip, number), "s16", "stereo")
            sound.sample_rate = SAMPLE_RATE
            sound.pts = (first + number) * _SAMPLES
            sound.time_base = Fraction(1, SAMPLE_RATE)
            output.mux(audio.encode(sound))
    for stream in (video, audio):
        if stream is not None:
            output.mux(stream.encode(None))


def _video(output: Any, clip: Clip) -> Any:
    fast = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
    options = fast if clip.video == "libx264" else {}
    stream = output.add_stream(clip.video, rate=RATE, options=options)
    stream.width, stream.height = clip.size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size = RATE
    return stream


def _picture(clip: Clip, number: int) -> np.ndarray[Any, Any]:
    width, height = clip.size
    noise = np.random.default_rng((clip.seed, number))
    picture = np.full((height, width, 3), 64, np.uint8)
    picture[:16, :16] = noise.integers(0, 255, (16, 16, 3))
    return picture


def _sound(clip: Clip, number: int) -> np.ndarray[Any, Any]:
    time = np.arange(_SAMPLES) + number * _SAMPLES
    wave = (np.sin(time * (0.05 + clip.seed / 100)) * 8000).astype(np.int16)
    return np.repeat(wave, 2)[None, :]


def segments(count: int, **clip: Any) -> list[bytes]:
    """Return segments of MPEG-TS of a second each, on one clock."""
    return [
        encoded(Clip(start_seconds=10.0 + number, seed=number, **clip))
        for number in range(count)
    ]


def fragments(seconds: int, **clip: Any) -> tuple[bytes, list[bytes]]:
    """Return the initialisation section, and a fragment of MP4 for each second."""
    whole = encoded(
        Clip(seconds=seconds, **clip),
        "mp4",
        movflags="+frag_keyframe+empty_moov+default_base_moof",
    )
    starts, kinds, position = [], [], 0
    while position + 8 <= len(whole):
        size_bytes = int.from_bytes(whole[position : position + 4], "big")
        kinds.append(whole[position + 4 : position + 8])
        starts.append(position)
        position += size_bytes
    begins = [
        start for start, kind in zip(starts, kinds, strict=True) if kind == b"moof"
    ]
    end = next(
        (start for start, kind in zip(starts, kinds, strict=True) if kind == b"mfra"),
        len(whole),
    )
    ends = [*begins[1:], end]
    pieces = [whole[start:stop] for start, stop in zip(begins, ends, strict=True)]
    return whole[: begins[0]], pieces


def encrypted(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Return a segment as AES-128 of RFC 8216 has it."""
    padding = PKCS7(128).padder()
    padded = padding.update(data) + padding.finalize()
    cipher = Cipher(AES(key), CBC(iv)).encryptor()
    return cipher.update(padded) + cipher.finalize()


def playlist(
    uris: Sequence[str],
    seconds: float = 1.0,
    head: str = "",
    end: str = "#EXT-X-ENDLIST",
) -> bytes:
    """Return a playlist; an entry may have lines of tags before its URI."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{seconds:.0f}"]
    lines += [head] if head else []
    for uri in uris:
        *tags, last = uri.split("\n")
        lines += [*tags, f"#EXTINF:{seconds:.3f},", last]
    return "\n".join([*lines, end, ""]).encode()


def master(*variants: str) -> bytes:
    """Return a master playlist of lines."""
    return "\n".join(["#EXTM3U", *variants, ""]).encode()


def streams(path: Path) -> list[tuple[str, str]]:
    """Return the kind and the codec of a file's streams."""
    with av.open(str(path)) as container:
        return [
            (stream.type, stream.codec_context.codec.canonical_name)
            for stream in container.streams
        ]


def decoded_frames(path: Path) -> int:
    """Return how many pictures a file has, all of which can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
