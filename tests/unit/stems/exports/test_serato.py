import struct

import pytest

from serve_app.stems.exports import serato
from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.track import Segment
from tests.unit.stems.exports.songs import RATE, track


def test_a_constant_grid_is_one_marker() -> None:
    data = serato.beat_grid(track())
    assert data == bytes.fromhex("0100 00000001 3e800000 43000000 00")


def test_a_grid_that_changes_counts_the_beats_between() -> None:
    segments = (Segment(0.5, 120.0), Segment(10.51, 90.0))
    data = serato.beat_grid(track(segments=segments))
    values = struct.unpack(">2xIfIffx", data)
    assert values == (2, 0.5, 20, pytest.approx(10.51), 90.0)


def test_the_grid_is_in_the_time_of_serato() -> None:
    codec = CodecFacts("mp3", RATE, 1105, None, 1152, "D")
    start = struct.unpack_from(">f", serato.beat_grid(track(codec=codec)), 6)[0]
    assert start == pytest.approx(0.25 + 2257 / RATE)


def test_without_a_pulse_there_is_none() -> None:
    assert serato.beat_grid(track(bpm=0.0, segments=())) == b""
