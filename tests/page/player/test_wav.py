"""Headers of wavs, also hostile ones."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.player.conftest import player_page
from tests.page.player.server import Server

PARSE = """async ([text, size]) => {
  const { parseHeader } = await import('/page/player/wav.js')
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
  try {
    return parseHeader(bytes.buffer, size)
  } catch (error) {
    return { error: error.message, name: error.constructor.name, bytes: error.bytes }
  }
}"""
_GUID = bytes.fromhex("000000001000800000aa00389b71")


@pytest.fixture(scope="module")
def page(chromium: Any, server: Server) -> Iterator[Any]:
    with player_page(chromium, server) as opened:
        yield opened


def parsed(page: Any, data: bytes, size: int = 1_000_000) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        PARSE, [base64.b64encode(data).decode(), size]
    )
    return found


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    length = len(data) if size is None else size
    return name + struct.pack("<I", length) + data + b"\0" * (len(data) % 2)


def form(code: int = 1, channels: int = 2, rate: int = 44_100, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits)


def extensible(code: int, bits: int) -> bytes:
    extra = struct.pack("<HHIH", 22, bits, 3, code) + _GUID
    return form(0xFFFE, bits=bits) + extra


def riff(*chunks: bytes, kind: bytes = b"RIFF") -> bytes:
    return kind + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + b"".join(chunks)


DATA = chunk(b"data", b"", 40_000)


@pytest.mark.parametrize(
    ("fmt", "bits", "is_float"),
    [
        (form(), 16, False),
        (form(bits=24), 24, False),
        (form(3, bits=32), 32, True),
        (extensible(1, 24), 24, False),
        (extensible(3, 32), 32, True),
    ],
)
def test_formats_are_read(page: Any, fmt: bytes, bits: int, is_float: bool) -> None:
    head = riff(chunk(b"LIST", b"odd"), chunk(b"fmt ", fmt), DATA)
    found = parsed(page, head)
    assert (found["bits"], found["isFloat"], found["rate"]) == (bits, is_float, 44_100)
    assert found["offset"] == len(head)
    assert found["samples"] == 40_000 // (2 * bits // 8)


def test_sizes_of_64_bits_are_read(page: Any) -> None:
    size = 6_000_000_000
    ds64 = chunk(b"ds64", struct.pack("<QQQI", size + 100, size, 0, 0))
    data = chunk(b"data", b"", 0xFFFFFFFF)
    head = riff(ds64, chunk(b"fmt ", form()), data, kind=b"RF64")
    assert parsed(page, head, size + len(head))["samples"] == size // 4


@pytest.mark.parametrize("stated", [0xFFFFFFFF, 900_000])
def test_no_samples_are_read_after_the_files_end(page: Any, stated: int) -> None:
    head = riff(chunk(b"fmt ", form()), chunk(b"data", b"", stated))
    assert parsed(page, head, len(head) + 4_000)["samples"] == 1_000


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"ID3\x04" + bytes(60), "does not begin with RIFF"),
        (b"RIFF\0\0\0\0AVI " + bytes(60), "does not begin with RIFF"),
        (riff(DATA), "before their format"),
        (riff(chunk(b"fmt ", form(2, bits=16)), DATA), "format 2 with 16 bits"),
        (riff(chunk(b"fmt ", form(bits=8)), DATA), "format 1 with 8 bits"),
        (riff(chunk(b"fmt ", form(3, bits=16)), DATA), "format 3 with 16 bits"),
        (riff(chunk(b"fmt ", form(channels=0)), DATA), "0 channels"),
        (riff(chunk(b"fmt ", form(channels=6)), DATA), "6 channels"),
        (riff(chunk(b"fmt ", form(rate=0)), DATA), "0 Hz"),
        (riff(chunk(b"fmt ", form()[:8]), DATA), "format has 8 bytes"),
        (
            riff(chunk(b"fmt ", form()[:12] + b"\1\0\x10\0"), DATA),
            "states 1 bytes a frame",
        ),
        (riff(chunk(b"ds64", bytes(8)), DATA, kind=b"RF64"), "ds64 chunk has 8 bytes"),
        (riff(chunk(b"junk", b"", 0xFFFFFFF0)), "no samples"),
    ],
)
def test_what_is_no_playable_wav_is_refused(page: Any, head: bytes, says: str) -> None:
    found = parsed(page, head)
    assert found["name"] == "WavError"
    assert says in found["error"]


@pytest.mark.parametrize("length", [0, 3, 11, 12, 19, 30, 43])
def test_a_cut_header_asks_for_more(page: Any, length: int) -> None:
    head = riff(chunk(b"fmt ", form()), DATA)
    found = parsed(page, head[:length])
    assert found["name"] == "WavNeedsMore"
    assert length < found["bytes"] <= len(head)
