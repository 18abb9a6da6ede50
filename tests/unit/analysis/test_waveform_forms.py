"""Waveforms in other programs' formats, read by their specifications."""

import json
import re
import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serve_app.analysis import waveform_forms as forms
from serve_app.analysis.waveform import PeaksListener, Pixels, Span, WaveformListener
from serve_app.errors import InvalidInput

RATE = 44_100
WHOLE = (0, 60_000)
SONG = (np.random.default_rng(3).standard_normal((2, 60_000)) * 0.3).astype(np.float32)


def read_dat(file: bytes) -> dict[str, Any]:
    """Read audiowaveform's binary format as DataFormat.md specifies it."""
    (version,) = struct.unpack("<i", file[0:4])
    assert version == 2
    (flags,) = struct.unpack("<I", file[4:8])
    (sample_rate,) = struct.unpack("<i", file[8:12])
    (samples_per_pixel,) = struct.unpack("<i", file[12:16])
    (length,) = struct.unpack("<I", file[16:20])
    (channels,) = struct.unpack("<i", file[20:24])
    bits, code, size = (8, "b", 1) if flags & 1 else (16, "h", 2)
    assert len(file) == 24 + length * channels * 2 * size
    return {
        "version": version,
        "channels": channels,
        "sample_rate": sample_rate,
        "samples_per_pixel": samples_per_pixel,
        "bits": bits,
        "length": length,
        "data": list(struct.unpack(f"<{length * channels * 2}{code}", file[24:])),
    }


def pixels(bands: int = 1, per_second: float = 100) -> Pixels:
    listener = WaveformListener(RATE)
    listener.add(SONG)
    span = forms.span(RATE, WHOLE, pixels_per_second=per_second)
    return listener.end().pixels(span, bands)


def as_ints(values: NDArray[np.float32], bits: int) -> list[int]:
    scaled = [min(max(round(float(x) * 32_768), -32_768), 32_767) for x in values.flat]
    return [int(value / 256) for value in scaled] if bits == 8 else scaled


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("bands", [1, 3])
def test_dat_and_json_say_the_same_to_a_reader_of_the_specification(
    bits: int, bands: int
) -> None:
    drawn = pixels(bands)
    binary = read_dat(b"".join(forms.dat(drawn, bits)))
    text = json.loads(b"".join(forms.audiowaveform_json(drawn, bits)))
    named = text.pop("bands", [])
    assert text == binary
    assert binary["bits"] == bits
    assert (binary["sample_rate"], binary["samples_per_pixel"]) == (RATE, 441)
    assert binary["length"] == -(-SONG.shape[1] // 441)
    # By pixel, then channel, then minimum and maximum.
    assert binary["data"] == as_ints(drawn.values, bits)
    if bands == 3:
        assert [band["name"] for band in named] == ["low", "mid", "high"]
        edges = [(band["from_hz"], band["to_hz"]) for band in named]
        assert edges == [(0, 200), (200, 3_000), (3_000, None)]


def test_dat_holds_the_peaks_of_the_song() -> None:
    data = read_dat(b"".join(forms.dat(pixels(), 16)))["data"]
    mono = SONG.mean(axis=0, dtype=np.float32)
    for pixel in (0, 17, 136):
        part = mono[pixel * 441 : (pixel + 1) * 441]
        wanted = as_ints(np.array([part.min(), part.max()], np.float32), 16)
        assert data[2 * pixel : 2 * pixel + 2] == wanted


def test_long_forms_come_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"".join(forms.audiowaveform_json(pixels(), 16))
    monkeypatch.setattr(forms, "_PIECE_PIXELS", 10)
    pieces = list(forms.audiowaveform_json(pixels(), 16))
    assert max(map(len, pieces)) < 200
    assert b"".join(pieces) == whole
    assert max(map(len, forms.dat(pixels(3), 8))) == 60


@pytest.mark.parametrize(("bits", "step"), [(8, 0.005001), (16, 0.00007)])
def test_wavesurfer_gets_the_sample_farthest_from_0_of_each_pixel(
    bits: int, step: float
) -> None:
    drawn = pixels(per_second=100)
    found = json.loads(b"".join(forms.wavesurfer(drawn, bits, 60_000 / RATE)))
    assert found["duration"] == pytest.approx(60_000 / RATE, abs=1e-6)
    (channel,) = found["peaks"]
    mono = SONG.mean(axis=0, dtype=np.float32)
    for pixel, peak in enumerate(channel):
        part = mono[pixel * 441 : (pixel + 1) * 441]
        farthest = part[np.abs(part).argmax()]
        assert peak == pytest.approx(np.clip(farthest, -1, 1), abs=step)
    assert min(channel) < 0 < max(channel)


def test_wavesurfer_gets_three_bands_as_three_channels() -> None:
    found = json.loads(b"".join(forms.wavesurfer(pixels(3), 16, 1.0)))
    assert len(found["peaks"]) == len(found["bands"]) == 3
    assert {len(channel) for channel in found["peaks"]} == {137}


def library(song: NDArray[np.float32], num_peaks: int) -> dict[str, Any]:
    span = forms.library_span((0, song.shape[1]), num_peaks)
    listener = PeaksListener(span, RATE)
    for start in range(0, song.shape[1], 1_009):
        listener.add(song[:, start : start + 1_009])
    at = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
    return forms.library(listener.end(), song.shape[1] / RATE, at)


@pytest.mark.parametrize("num_peaks", [1, 7, 1_024, 4_000, 59_999, 60_000])
def test_the_library_gets_what_a_plain_loop_finds(num_peaks: int) -> None:
    mono = SONG.mean(axis=0, dtype=np.float32)
    size = len(mono) // num_peaks
    slices = [mono[i * size : (i + 1) * size] for i in range(num_peaks)]
    peaks = np.array([np.abs(part).max() for part in slices], np.float64)
    found = library(SONG, num_peaks)
    assert found == {
        "peaks": [round(peak, 4) for peak in (peaks / peaks.max()).tolist()],
        "duration": 60_000 / RATE,
        "sample_rate": RATE,
        "num_peaks": num_peaks,
        "created_at": "2026-01-02T03:04:05.678901Z",
    }


def test_the_library_gets_0_after_short_songs_and_for_silence() -> None:
    short = np.array([[0.1, -0.4, 0.2]] * 2, np.float32)
    assert library(short, 5)["peaks"] == [0.25, 1.0, 0.5, 0.0, 0.0]
    assert library(np.zeros((2, 100), np.float32), 3)["peaks"] == [0.0, 0.0, 0.0]


def test_pixels_are_as_long_as_audiowaveform_makes_them() -> None:
    assert forms.span(RATE, WHOLE) == Span(0, 60_000, 441)
    assert forms.span(RATE, WHOLE, pixels_per_second=90) == Span(0, 60_000, 490)
    assert forms.span(RATE, WHOLE, pixels_per_second=85) == Span(0, 60_000, 518)


@given(
    first=st.integers(0, 10**9),
    length=st.integers(1, 10**9),
    num_peaks=st.integers(1, forms.MOST_PEAKS),
)
def test_at_most_so_many_pixels_have_all_samples_of_a_part(
    first: int, length: int, num_peaks: int
) -> None:
    span = forms.span(RATE, (first, first + length), num_peaks=num_peaks)
    assert (span.first, span.end) == (first, first + length)
    assert span.pixels <= num_peaks
    # The shortest pixels that are allowed.
    assert span.samples_per_pixel == 1 or length > num_peaks * (
        span.samples_per_pixel - 1
    )


def test_the_library_leaves_out_what_is_left() -> None:
    assert forms.library_span(WHOLE, 7) == Span(0, 59_997, 8_571)
    assert forms.library_span((44_100, 60_000), 7) == Span(44_100, 59_997, 2_271)
    assert forms.library_span((0, 5), 7) == Span(0, 7, 1)


def test_a_part_of_a_song_is_given_from_its_first_sample_on() -> None:
    assert forms.part(RATE, 60_000) == WHOLE
    assert forms.part(RATE, 60_000, 0.5, 1.0) == (22_050, 44_100)
    for beyond in (9.0, 1e308):
        assert forms.part(RATE, 60_000, 1.0, beyond) == (44_100, 60_000)
    part = forms.part(RATE, 60_000, 0.5, 1.0)
    assert forms.span(RATE, part) == Span(22_050, 44_100, 441)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"pixels_per_second": 0}, "from 0.01 to 300, got 0"),
        ({"pixels_per_second": 1e-300}, "from 0.01 to 300, got 1e-300"),
        ({"pixels_per_second": 301}, "to 300"),
        ({"pixels_per_second": float("nan")}, "to 300, got nan"),
        ({"num_peaks": 0}, "from 1 to 100000, got 0"),
        ({"num_peaks": 100_001}, "from 1 to 100000"),
        ({"num_peaks": 5, "pixels_per_second": 5}, "not both"),
    ],
)
def test_pixels_that_can_not_be_are_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        forms.span(RATE, WHOLE, **asked)


@pytest.mark.parametrize("num_peaks", [0, 100_001])
def test_so_many_peaks_are_refused_for_the_library_too(num_peaks: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 100000, got"):
        forms.library_span(WHOLE, num_peaks)


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (-1.0, None, '"start" must be at least 0 and before the end'),
        (2.0, None, "before the end of the song (1.361 s), got 2.0"),
        (1.0, 1.0, '"end" must be after "start" (1.0 s), got 1.0'),
        (0.0, float("inf"), '"end" must be a finite number of seconds, got inf'),
        (0.0, float("nan"), '"end" must be a finite number of seconds, got nan'),
    ],
)
def test_parts_that_can_not_be_are_refused(
    start: float, end: float | None, says: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        forms.part(RATE, 60_000, start, end)


@pytest.mark.parametrize("asked", [{"pixels_per_second": 0.01}, {"num_peaks": 4}])
def test_the_longest_pixels_have_room_in_the_header(asked: dict[str, Any]) -> None:
    day = (0, 24 * 3_600 * 96_000)
    span = forms.span(96_000, day, **asked)
    values = np.zeros((span.pixels, 1, 2), np.float32)
    file = b"".join(forms.dat(Pixels(values, span.samples_per_pixel, 96_000), 16))
    assert read_dat(file)["samples_per_pixel"] == span.samples_per_pixel
    with pytest.raises(InvalidInput, match='"num_peaks" must be at least 4 for a'):
        forms.span(96_000, day, num_peaks=3)


def test_too_many_pixels_are_refused_with_a_number_that_is_not() -> None:
    samples = 10 * 3_600 * RATE
    with pytest.raises(InvalidInput, match=r"of at most 37, or") as refused:
        forms.span(RATE, (0, samples), pixels_per_second=100)
    assert "at most 1350000 pixels, got 3600000" in refused.value.detail
    assert forms.span(RATE, (0, samples), pixels_per_second=37).pixels < 1_350_000
    assert forms.span(RATE, forms.part(RATE, samples, 3_600, 3_660)).pixels == 6_000


@pytest.mark.parametrize(("bits", "bands"), [(24, 1), (0, 1), (8, 2), (16, 0)])
def test_other_bits_and_bands_are_refused(bits: int, bands: int) -> None:
    with pytest.raises(InvalidInput, match=r'^"(bits|bands)" must be'):
        forms.check(bits, bands)
    forms.check(8, 3)
