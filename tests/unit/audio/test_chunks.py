"""Files of chunks: wrong headers don't change the decoded audio."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import UnreadableAudio
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
SAMPLES = 3_001


def noise(frame_bytes: int, samples: int = SAMPLES) -> bytes:
    return np.random.default_rng(1).bytes(frame_bytes * samples)


def music(samples: int = SAMPLES) -> bytes:
    wave = media.song(samples / 44_100)[:, :samples]
    return np.round(wave.T * 32_767).astype("<i2").tobytes()


def decoded(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


def by_libsndfile(data: bytes) -> NDArray[np.float32]:
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return np.asarray(samples.T, dtype=np.float32)


def wav(fmt: bytes, data: bytes) -> bytes:
    return made.riff(made.chunk(b"fmt ", fmt), made.chunk(b"data", data))


@pytest.mark.parametrize("wrap", [wav, made.rf64, made.w64])
@pytest.mark.parametrize(
    ("bits", "valid_bits"),
    [(24, 16), (32, 24), (24, 20), (16, 12), (32, 20), (32, 16), (16, 8), (24, 24)],
)
def test_valid_bits_are_read_as_libsndfile_reads_them(
    tmp_path: Path,
    wrap: Callable[[bytes, bytes], bytes],
    bits: int,
    valid_bits: int,
) -> None:
    fmt = made.wav_format(bits=bits, valid_bits=valid_bits)
    data = wrap(fmt, noise(2 * bits // 8))
    (tmp_path / "song").write_bytes(data)
    out = decoded(tmp_path / "song")
    assert out.shape == (2, SAMPLES)
    np.testing.assert_array_equal(out, by_libsndfile(data))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_valid_bits_have_nothing_to_do_with_channels(
    tmp_path: Path, channels: int
) -> None:
    fmt = made.wav_format(bits=32, valid_bits=24, channels=channels)
    (tmp_path / "song").write_bytes(wav(fmt, noise(4 * channels)))
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES
    assert measure(tmp_path / "song", LIMITS).channels == channels


@pytest.mark.parametrize(("bits", "valid_bits"), [(32, 32), (32, 24), (64, 64)])
def test_floats_stay_floats(tmp_path: Path, bits: int, valid_bits: int) -> None:
    fmt = made.wav_format(bits=bits, valid_bits=valid_bits, code=3)
    wave = media.song(SAMPLES / 44_100)[:, :SAMPLES]
    data = wav(fmt, wave.T.astype(f"<f{bits // 8}").tobytes())
    (tmp_path / "song").write_bytes(data)
    np.testing.assert_array_equal(decoded(tmp_path / "song"), wave)


@pytest.mark.parametrize("wrap", [wav, made.rf64, made.w64])
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_integers_of_64_bits_are_read_as_those_of_32(
    tmp_path: Path, wrap: Callable[[bytes, bytes], bytes], channels: int
) -> None:
    narrow = np.frombuffer(noise(4 * channels), "<i4")
    for bits, data in (
        (32, narrow.tobytes()),
        (64, (narrow.astype("<i8") << 32).tobytes()),
    ):
        fmt = made.wav_format(bits=bits, channels=channels)
        (tmp_path / str(bits)).write_bytes(wrap(fmt, data))
    out = decoded(tmp_path / "64")
    assert out.shape == (2, SAMPLES)
    np.testing.assert_array_equal(out, decoded(tmp_path / "32"))


FMT = made.wav_format(bits=16)


def wav_saying(data: bytes, data_bytes: int | None) -> bytes:
    return made.riff(
        made.chunk(b"fmt ", FMT), made.chunk(b"data", data, size=data_bytes)
    )


def aiff_saying(data: bytes, data_bytes: int | None) -> bytes:
    stated = len(data) if data_bytes is None else data_bytes
    swapped = np.frombuffer(data, "<i2").astype(">i2").tobytes()
    return made.aiff(swapped, frames=stated // 4, data_bytes=data_bytes)


def au_saying(data: bytes, data_bytes: int | None) -> bytes:
    swapped = np.frombuffer(data, "<i2").astype(">i2").tobytes()
    return made.au(swapped, data_bytes=data_bytes)


SAYING: dict[str, Callable[[bytes, int | None], bytes]] = {
    "wav": wav_saying,
    "rf64": lambda data, data_bytes: made.rf64(FMT, data, data_bytes),
    "w64": lambda data, data_bytes: made.w64(FMT, data, data_bytes),
    "aiff": aiff_saying,
    "au": au_saying,
    "caf": lambda data, data_bytes: made.caf(data, data_bytes=data_bytes),
}


@pytest.mark.parametrize("kind", SAYING)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_a_song_longer_than_its_header_says_is_read_to_its_end(
    tmp_path: Path, kind: str, share: float
) -> None:
    """As if the recorder stopped before it corrected the header."""
    data = music()
    stated = int(SAMPLES * share) * 4
    (tmp_path / "whole").write_bytes(SAYING[kind](data, None))
    (tmp_path / "song").write_bytes(SAYING[kind](data, stated))
    out = decoded(tmp_path / "song")
    assert out.shape == (2, SAMPLES)
    np.testing.assert_array_equal(out, decoded(tmp_path / "whole"))
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


def test_silence_behind_the_stated_end_is_sound_too(tmp_path: Path) -> None:
    media.write_pcm_wav(tmp_path / "song", sample_rate=44_100, claimed_bytes=2_000)
    assert measure(tmp_path / "song", LIMITS).samples == 1_000


@pytest.mark.parametrize(
    "behind",
    [
        made.chunk(b"LIST", b"INFOINAM\4\0\0\0Song"),
        made.chunk(b"id3 ", made.id3v2(5_000)),
        made.chunk(b"bext", bytes(602)) + made.chunk(b"cue ", bytes(4)),
        made.chunk(b"smpl", bytes(36)) + made.chunk(b"LIST", b"adtl"),
        made.chunk(b"xyz1", b"a program's own"),
        made.id3v1(),
        made.id3v2(500),
        b"\0",
    ],
    ids=["LIST", "id3", "bext", "smpl", "unknown", "ID3v1", "ID3v2", "padding"],
)
def test_what_stands_behind_the_sound_is_no_sound(
    tmp_path: Path, behind: bytes
) -> None:
    (tmp_path / "song").write_bytes(wav_saying(music(), None) + behind)
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


CLOSED: dict[str, Callable[[bytes, int | None], bytes]] = {
    kind: SAYING[kind] for kind in ("wav", "rf64", "w64", "aiff")
}


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize("behind", [noise(1)[:400], bytes(512)], ids=["noise", "zeros"])
def test_filling_behind_a_file_that_is_complete_is_no_sound(
    tmp_path: Path, kind: str, behind: bytes
) -> None:
    (tmp_path / "song").write_bytes(CLOSED[kind](music(), None) + behind)
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


FOREIGN = {
    "zip": b"PK\3\4" + noise(1, 9_000),
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF" + noise(1, 9_000),
    "png": media.png() + noise(1, 9_000),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + noise(1, 9_000),
    "text": b"Recorded in the old hall, on two microphones.\r\n" * 300,
    "UTF-8": ("\ufeff" + "Aufgenommen für später …\n" * 3_000).encode(),
    "XML": b"<?xml version='1.0'?>\n<song/>\n" * 300,
    "gzip": b"\x1f\x8b\x08" + noise(1, 9_000),
    "Ogg": b"OggS\0\2" + noise(1, 9_000),
}


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize("name", FOREIGN)
def test_another_file_behind_one_that_is_complete_is_no_sound(
    tmp_path: Path, kind: str, name: str
) -> None:
    (tmp_path / "song").write_bytes(CLOSED[kind](music(), None) + FOREIGN[name])
    out = decoded(tmp_path / "song")
    (tmp_path / "whole").write_bytes(CLOSED[kind](music(), None))
    np.testing.assert_array_equal(out, decoded(tmp_path / "whole"))
    assert out.shape == (2, SAMPLES)


def test_another_file_behind_a_padded_sound_is_no_sound(tmp_path: Path) -> None:
    fmt = made.chunk(b"fmt ", made.wav_format(bits=8, channels=1))
    data = made.riff(fmt, made.chunk(b"data", noise(1))) + FOREIGN["zip"]
    (tmp_path / "song").write_bytes(data)
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize("level", [1, 0, -1])
def test_a_recorder_that_died_after_it_corrected_its_header_loses_nothing(
    tmp_path: Path, kind: str, level: int
) -> None:
    """The audio may be music, silence, or bytes with all bits set."""
    data = music()
    half, rest = data[: len(data) // 2], data[len(data) // 2 :]
    if level < 1:
        rest = np.full(len(rest) // 2, level, "<i2").tobytes()
    (tmp_path / "song").write_bytes(CLOSED[kind](half, None) + tail(kind, rest))
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


def tail(kind: str, data: bytes) -> bytes:
    """Return samples encoded for a kind of file."""
    if kind != "aiff":
        return data
    return np.frombuffer(data, "<i2").astype(">i2").tobytes()


@pytest.mark.parametrize("pad", [b"", b"\0"], ids=["unpadded", "padded"])
def test_a_chunk_behind_an_odd_number_of_bytes_is_found(
    tmp_path: Path, pad: bytes
) -> None:
    fmt = made.chunk(b"fmt ", made.wav_format(bits=8, channels=1))
    head = made.riff(fmt, b"data" + SAMPLES.to_bytes(4, "little"))
    tail = made.chunk(b"LIST", b"INFOINAM\4\0\0\0Song")
    (tmp_path / "song").write_bytes(head + noise(1) + pad + tail)
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


@pytest.mark.parametrize("kind", ["AIFF", "WAV", "W64", "CAF"])
@pytest.mark.parametrize(
    ("subtype", "channels"), [("PCM_24", 1), ("PCM_24", 3), ("PCM_S8", 3)]
)
def test_a_byte_that_libsndfile_adds_is_no_sound(
    tmp_path: Path, kind: str, subtype: str, channels: int
) -> None:
    if not soundfile.check_format(kind, subtype):
        subtype = "PCM_U8"
    file = io.BytesIO()
    wave = media.song(1)[[0] * channels, :SAMPLES].T
    soundfile.write(file, wave, 44_100, format=kind, subtype=subtype)
    (tmp_path / "song").write_bytes(file.getvalue())
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES


@pytest.mark.parametrize("stated", [0, 4_000, 0xFFFF_FFFF])
@pytest.mark.parametrize(
    "behind",
    [
        made.chunk(b"LIST", b"INFOINAM\4\0\0\0Song"),
        made.chunk(b"id3 ", made.id3v2(70_000)),
        made.chunk(b"cue ", bytes(4)) + made.chunk(b"PEAK", bytes(24)),
    ],
    ids=["LIST", "id3", "two"],
)
def test_chunks_end_a_sound_whose_size_is_wrong(
    tmp_path: Path, stated: int, behind: bytes
) -> None:
    (tmp_path / "song").write_bytes(wav_saying(music(), stated) + behind)
    out = decoded(tmp_path / "song")
    assert out.shape == (2, SAMPLES)
    (tmp_path / "whole").write_bytes(wav_saying(music(), None))
    np.testing.assert_array_equal(out, decoded(tmp_path / "whole"))


@pytest.mark.parametrize("kind", SAYING)
def test_a_song_shorter_than_its_header_says_is_cut(tmp_path: Path, kind: str) -> None:
    data = music()
    (tmp_path / "song").write_bytes(SAYING[kind](data, len(data) + 8_000))
    with pytest.raises(UnreadableAudio, match=r"cut short.*ffmpeg -i"):
        measure(tmp_path / "song", LIMITS)


@pytest.mark.parametrize("kind", [*CLOSED, "caf"])
@pytest.mark.parametrize("missing", [1, 3, 4, 44])
def test_a_song_that_lacks_its_last_bytes_is_cut(
    tmp_path: Path, kind: str, missing: int
) -> None:
    (tmp_path / "song").write_bytes(SAYING[kind](music(), None)[:-missing])
    with pytest.raises(UnreadableAudio, match="cut short"):
        measure(tmp_path / "song", LIMITS)


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64"])
@pytest.mark.parametrize("counted", [8, 44])
def test_a_sound_whose_size_counts_the_header_is_whole(
    tmp_path: Path, kind: str, counted: int
) -> None:
    data = music()
    (tmp_path / "song").write_bytes(SAYING[kind](data, len(data) + counted))
    assert measure(tmp_path / "song", LIMITS).samples == SAMPLES
