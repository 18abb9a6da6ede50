"""Media for the tests, made once."""

import random
from functools import cache

from tests import hls
from tests.hls import Clip
from tests.origin import Origin


def mp4(size_bytes: int = 1_000_000, seed: int = 0) -> bytes:
    """Return what looks like an MP4 of so many bytes: its boxes, and noise."""
    noise = random.Random(seed).randbytes(size_bytes - 32)
    start = (24).to_bytes(4, "big") + b"ftypisom" + bytes(4) + b"isommp41"
    return start + (size_bytes - 24).to_bytes(4, "big") + b"mdat" + noise


@cache
def segments(count: int = 4) -> tuple[bytes, ...]:
    """Return segments of MPEG-TS of a second each."""
    return tuple(hls.segments(count))


@cache
def fragments(seconds: int = 3, seed: int = 0) -> tuple[bytes, tuple[bytes, ...]]:
    """Return an initialisation section and its fragments."""
    head, pieces = hls.fragments(seconds, seed=seed)
    return head, tuple(pieces)


@cache
def segment(**clip: object) -> bytes:
    """Return one segment of MPEG-TS."""
    return hls.encoded(Clip(**clip))  # type: ignore[arg-type]


def add_stream(origin: Origin, count: int = 4, folder: str = "/v") -> str:
    """Serve a playlist of segments; return its URL."""
    for number, data in enumerate(segments(count)):
        origin.add(f"{folder}/{number}.ts", data)
    uris = [f"{number}.ts" for number in range(count)]
    return origin.add(f"{folder}/index.m3u8", hls.playlist(uris))
