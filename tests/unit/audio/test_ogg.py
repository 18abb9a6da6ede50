"""Complete Ogg files are accepted with any flags, truncated ones are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import UnreadableAudio
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
END_OF_STREAM = 4

# codec -> rate, channels; all different, because the files are also joined.
CODECS = {"opus": (48_000, 2), "vorbis": (44_100, 2), "flac": (32_000, 1)}
ENCODERS = {"opus": "libopus", "vorbis": "libvorbis", "flac": "flac"}


def ogg_of(path: Path, codec: str, seconds: float = 3.0) -> bytes:
    """Write an Ogg of whole seconds and return its bytes."""
    rate, channels = CODECS[codec]
    wave = media.song(seconds, rate, channels)
    if codec == "vorbis":
        media.write_wave(path, wave, rate, "ogg")
    else:
        options = {"page_duration": "500000"}
        track = made.Track(ENCODERS[codec], wave, rate)
        made.mux(path, "ogg", [track], options=options)
    return path.read_bytes()


def samples_of(path: Path) -> int:
    return measure(path, LIMITS).samples


def decoded(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


def without_end_flag(data: bytes) -> bytes:
    *first, last = made.pages(data)
    return made.ogg(first) + made.ogg([last], flags=last.flags & ~END_OF_STREAM)


def with_junk(data: bytes) -> bytes:
    return data + b"not an Ogg page " * 400


def with_tag(data: bytes) -> bytes:
    return data + made.id3v1()


def renumbered(data: bytes) -> bytes:
    """As from an Icecast server, for a listener who joins late."""
    return b"".join(
        made.ogg([page], number=page.number + 500 if page.granule > 0 else page.number)
        for page in made.pages(data)
    )


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "change",
    [without_end_flag, with_junk, with_tag, renumbered, made.id3v2(10).__add__],
)
def test_what_proves_no_cut_is_no_cut(
    tmp_path: Path, codec: str, change: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "song"
    data = ogg_of(path, codec)
    whole = decoded(path)
    assert whole.shape[1] == 3 * CODECS[codec][0]
    path.write_bytes(change(data))
    np.testing.assert_array_equal(decoded(path), whole)
    assert samples_of(path) == whole.shape[1]


@pytest.mark.parametrize("codec", ["opus", "flac"])
@pytest.mark.parametrize("start", [1, 48_000, 10_000_000])
def test_a_stream_that_starts_late_is_whole(
    tmp_path: Path, codec: str, start: int
) -> None:
    path = tmp_path / "song"
    found = made.pages(ogg_of(path, codec))
    moved = [made.ogg([p], granule=p.granule + start * (p.granule > 0)) for p in found]
    path.write_bytes(b"".join(moved))
    # FFmpeg treats a start of one sample as 0.
    assert samples_of(path) == pytest.approx(3 * CODECS[codec][0], abs=1)


def test_a_vorbis_that_starts_late_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "song"
    found = made.pages(ogg_of(path, "vorbis"))
    moved = [
        made.ogg([p], granule=p.granule + 7_000_000 * (p.granule > 0)) for p in found
    ]
    path.write_bytes(b"".join(moved))
    _, plain = made.decoded_by_ffmpeg(path)
    assert samples_of(path) == plain == 132_300


@pytest.mark.parametrize(
    ("first", "second"),
    [("vorbis", "opus"), ("opus", "vorbis"), ("flac", "vorbis"), ("opus", "flac")],
)
def test_a_chain_is_as_long_as_its_links(
    tmp_path: Path, first: str, second: str
) -> None:
    path = tmp_path / "song"
    data = ogg_of(path, first) + ogg_of(path, second, 2.0)
    path.write_bytes(data + ogg_of(tmp_path / "third", first, 1.0))
    # At the first link's rate.
    assert samples_of(path) == 6 * CODECS[first][0]
    assert measure(path, LIMITS).channels == CODECS[first][1]


@pytest.mark.parametrize("codec", CODECS)
def test_links_of_one_format_follow_one_another_to_the_sample(
    tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "song"
    data = ogg_of(path, codec)
    once = decoded(path)
    path.write_bytes(data + data)
    np.testing.assert_array_equal(decoded(path), np.concatenate([once, once], axis=1))


@pytest.mark.parametrize("codec", CODECS)
def test_a_second_stream_beside_the_first_does_no_harm(
    tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "song"
    first = made.pages(ogg_of(path, codec))
    once = decoded(path)
    second = made.pages(ogg_of(tmp_path / "second", "vorbis", 2.0))
    second = made.pages(made.ogg(second, serial=77))
    mixed = [first[0], second[0], *first[1:3], *second[1:], *first[3:]]
    path.write_bytes(made.ogg(mixed))
    np.testing.assert_array_equal(decoded(path), once)


def test_theora_beside_the_sound_does_no_harm(tmp_path: Path) -> None:
    """Each stream has its own page numbers and its own end."""
    path = tmp_path / "song"
    found = made.pages(ogg_of(path, "opus"))
    once = decoded(path)
    head = b"\x80theora\3\2\1" + bytes([0, 4, 0, 4]) + bytes(28)
    begin = made.Page(2, 0, 99, 0, bytes([len(head)]), head)
    path.write_bytes(made.ogg([found[0], begin, *found[1:]]))
    np.testing.assert_array_equal(decoded(path), once)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("end_flag", [True, False])
def test_a_page_that_is_not_whole_is_a_cut(
    tmp_path: Path, codec: str, end_flag: bool
) -> None:
    path = tmp_path / "song"
    data = ogg_of(path, codec)
    data = data if end_flag else without_end_flag(data)
    for missing in (1, 100, len(data) // 3):
        path.write_bytes(data[:-missing])
        with pytest.raises(UnreadableAudio, match="cut short"):
            measure(path, LIMITS)


@pytest.mark.parametrize("codec", CODECS)
def test_a_missing_page_is_damage(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "song"
    found = made.pages(ogg_of(path, codec, 4.0))
    assert len(found) >= 5
    del found[-2]
    path.write_bytes(made.ogg(found))
    with pytest.raises(UnreadableAudio, match="ffmpeg"):
        measure(path, LIMITS)


@pytest.mark.parametrize("codec", CODECS)
def test_a_packet_without_an_end_is_a_cut(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "song"
    *first, last = made.pages(ogg_of(path, codec))
    table = last.table[:-1] + b"\xff"
    data = last.data[: sum(last.table[:-1])] + bytes(255)
    changed = made.Page(0, last.granule, last.serial, last.number, table, data)
    path.write_bytes(made.ogg([*first, changed]))
    with pytest.raises(UnreadableAudio, match="cut short"):
        measure(path, LIMITS)


@pytest.mark.parametrize("codec", CODECS)
def test_a_cut_link_in_a_chain_is_noticed(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "song"
    data = ogg_of(path, codec)
    path.write_bytes(data[:-200] + data)
    with pytest.raises(UnreadableAudio):
        measure(path, LIMITS)
