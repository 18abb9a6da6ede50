from pathlib import Path

import av
import pytest

from serve_app.audio import mpeg
from tests import media


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_frame_is_as_large_as_its_header_says(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "song.mp3"
    media.write_song(path, "mp3", seconds=1.0, sample_rate=rate, channels=channels)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        for packet in packets:
            header = mpeg.frame(bytes(packet)[:4])
            assert header is not None
            assert header.size_bytes == packet.size
        assert header is not None
        assert header.samples == (1152 if rate >= 32_000 else 576)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xfb",
        b"ID3\x04",
        b"\xff\xeb\x90\x00",  # a version that is reserved
        b"\xff\xf9\x90\x00",  # a layer that is reserved
        b"\xff\xfb\xf0\x00",  # a bit rate that is none
        b"\xff\xfb\x9c\x00",  # a sample rate that is reserved
    ],
)
def test_what_is_no_header_is_none(header: bytes) -> None:
    assert mpeg.frame(header) is None


@pytest.mark.parametrize(
    ("header", "size_bytes", "samples"),
    [
        (b"\xff\xff\x90\x00", 312, 384),  # layer I: 288 kbit/s at 44.1 kHz
        (b"\xff\xfd\x90\x00", 522, 1152),  # layer II: 160 kbit/s
        (b"\xff\xfb\x90\x00", 417, 1152),  # layer III: 128 kbit/s
        (b"\xff\xfb\x92\x00", 418, 1152),  # the same, padded
        (b"\xff\xfb\x00\x00", None, 1152),  # a free bit rate
    ],
)
def test_every_layer_has_its_size(
    header: bytes, size_bytes: int | None, samples: int
) -> None:
    frame = mpeg.frame(header)
    assert frame is not None
    assert (frame.size_bytes, frame.samples) == (size_bytes, samples)


@pytest.mark.parametrize("samples", [2_000, 44_100, 50_000])
def test_a_tag_tells_the_length(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "song.mp3"
    media.write_wave(path, media.song(samples / 44_100), 44_100, "mp3")
    assert mpeg.stated_samples(path) == samples


def test_a_tag_is_found_behind_a_picture(tmp_path: Path) -> None:
    wave = media.write_mp3_with_cover(tmp_path / "song.mp3")
    assert mpeg.stated_samples(tmp_path / "song.mp3") == wave.shape[1]


def test_fraunhofers_tag_tells_the_length(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    fields = b"VBRI" + bytes(10) + (100).to_bytes(4, "big")
    frame = b"\xff\xfb\x90\x00" + bytes(32) + fields
    path.write_bytes(frame.ljust(417, b"\0") + b"\xff\xfb\x90\x00")
    assert mpeg.stated_samples(path) == 100 * 1152


@pytest.mark.parametrize("data", [b"", b"ID3", b"\xff" * 500, b"no frame at all"])
def test_without_a_tag_no_length_is_stated(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "song.mp3").write_bytes(data)
    assert mpeg.stated_samples(tmp_path / "song.mp3") is None


def test_a_corrected_tag_tells_the_new_length(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    media.write_song(path, "mp3", seconds=1.0)
    before = path.read_bytes()
    mpeg.state_samples(path, 44_100)
    assert path.read_bytes() == before
    mpeg.state_samples(path, 44_000)
    assert mpeg.stated_samples(path) == 44_000
    mpeg.state_samples(path, 44_100)
    assert path.read_bytes() == before, "its check is not that of LAME"


def test_a_length_out_of_reach_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    media.write_song(path, "mp3", seconds=1.0)
    with pytest.raises(ValueError, match="must be 0 to 4095 samples, got"):
        mpeg.state_samples(path, 1_000)
