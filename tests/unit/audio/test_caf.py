"""CAFs with packets have the length in their table, and are refused without it."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import UnreadableAudio
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
PACKET_SAMPLES = 4_096


def song(samples: int, channels: int = 2) -> made.Wave:
    return media.song(samples / 44_100)[:channels, :samples]


@pytest.mark.parametrize("subtype", ["ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("over", [0, 500, 2_048, 4_095])
def test_alac_is_as_long_as_libsndfile_reads_it(
    tmp_path: Path, subtype: str, channels: int, over: int
) -> None:
    samples = 10 * PACKET_SAMPLES + over
    data = made.libsndfile_caf(song(samples, channels), subtype)
    (tmp_path / "song").write_bytes(data)
    out = np.concatenate(list(read_blocks(tmp_path / "song")), axis=1)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(out[:channels], expected.T)
    assert measure(tmp_path / "song", LIMITS).samples == samples


@pytest.mark.parametrize("samples", [1, PACKET_SAMPLES, PACKET_SAMPLES + 1])
def test_alac_of_a_packet_or_a_sample_is_read(tmp_path: Path, samples: int) -> None:
    data = made.libsndfile_caf(song(samples), "ALAC_16")
    (tmp_path / "song").write_bytes(data)
    assert measure(tmp_path / "song", LIMITS).samples == samples


def test_alac_ends_where_its_table_says_in_a_packet_that_is_full(
    tmp_path: Path,
) -> None:
    data = bytearray(made.libsndfile_caf(song(3 * PACKET_SAMPLES), "ALAC_16"))
    table = data.index(b"pakt") + 12
    struct.pack_into(">q", data, table + 8, 3 * PACKET_SAMPLES - 1_000)
    struct.pack_into(">I", data, table + 20, 1_000)
    (tmp_path / "song").write_bytes(data)
    assert measure(tmp_path / "song", LIMITS).samples == 3 * PACKET_SAMPLES - 1_000


@pytest.mark.parametrize("samples", [20 * PACKET_SAMPLES, 30_001])
def test_alac_with_its_table_at_the_end_is_read_whole(
    tmp_path: Path, samples: int
) -> None:
    path = tmp_path / "song"
    made.mux(path, "caf", [made.Track("alac", song(samples), 44_100)])
    assert measure(path, LIMITS).samples == samples


@pytest.mark.parametrize("writer", ["ffmpeg", "libsndfile"])
def test_a_cut_alac_is_called_cut_short(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "song"
    if writer == "ffmpeg":
        made.mux(path, "caf", [made.Track("alac", song(100_000), 44_100)])
        data = path.read_bytes()
    else:
        data = made.libsndfile_caf(song(100_000), "ALAC_16")
        start = data.index(b"data") + 12
        # Without the padding byte.
        data = data[: start + int.from_bytes(data[start - 8 : start])]
    ends = [int(len(data) * keep) for keep in (0.3, 0.5, 0.97)]
    if writer == "ffmpeg":
        table = data.index(b"pakt")
        ends += [table, table + 6, table + 14, table + 34]
    for end in [*ends, len(data) - 1]:
        path.write_bytes(data[:end])
        with pytest.raises(UnreadableAudio, match="cut short"):
            measure(path, LIMITS)


@pytest.mark.parametrize("samples", [3_001, 3_000])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_24", "ULAW"])
def test_a_byte_that_makes_a_size_even_is_no_sound(
    tmp_path: Path, subtype: str, samples: int
) -> None:
    data = made.libsndfile_caf(song(samples, 1), subtype)
    (tmp_path / "song").write_bytes(data)
    assert measure(tmp_path / "song", LIMITS).samples == samples


@pytest.mark.parametrize("table_bytes", [0, 3, 23, 2**63 - 1])
def test_a_table_that_can_not_be_is_refused(tmp_path: Path, table_bytes: int) -> None:
    data = made.libsndfile_caf(song(PACKET_SAMPLES), "ALAC_16")
    start = data.index(b"pakt")
    sound = data[data.index(b"data") :]
    table = struct.pack(">4sq", b"pakt", table_bytes) + bytes(min(table_bytes, 23))
    (tmp_path / "song").write_bytes(data[:start] + sound[:-1] + table)
    with pytest.raises(UnreadableAudio):
        measure(tmp_path / "song", LIMITS)
