"""The table that these hold is in docs/exports.md, with its sources."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio import mpeg
from serve_app.audio.decode import read_blocks
from serve_app.stems.exports.codec_facts import CodecFacts, codec_facts
from serve_app.stems.exports.offsets import PROGRAMS, offset_samples, offset_seconds
from tests import media
from tests.unit.stems.exports.songs import found_tag

RATE = 44_100
FRAME = 1152
# FFmpeg's delay of LAME, and that of every decoder.
LEAD = 576 + 529


def with_encoder(data: bytearray, name: bytes) -> bytearray:
    """Name another encoder in an mp3's tag, and make its check right."""
    frame = data.find(b"\xff\xfb")
    start = data.find(b"Lav", frame)
    data[start : start + 9] = name.ljust(9, b"\0")
    check = mpeg._crc16(bytes(data[frame : start + 34]))
    data[start + 34 : start + 36] = check.to_bytes(2, "big")
    return data


def with_wrong_check(data: bytearray) -> bytearray:
    data = with_encoder(data, b"LAME3.100")
    data[data.find(b"LAME3.100") + 35] ^= 1
    return data


def without_tag(data: bytearray) -> bytearray:
    frame = data.find(b"\xff\xfb")
    size = mpeg.frame(bytes(data[frame : frame + 4]))
    assert size is not None
    assert size.size_bytes is not None
    return data[:frame] + data[frame + size.size_bytes :]


CASES: dict[str, Callable[[bytearray], bytearray]] = {
    "A": without_tag,
    "B": lambda data: data,
    "C": with_wrong_check,
    "D": lambda data: with_encoder(data, b"LAME3.100"),
}


def write_case(path: Path, case: str) -> None:
    media.write_song(path, "mp3", seconds=1.7)
    path.write_bytes(CASES[case](bytearray(path.read_bytes())))


def decoded(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)), axis=1)


@pytest.mark.parametrize("case", CASES)
def test_the_case_of_an_mp3_is_told(tmp_path: Path, case: str) -> None:
    write_case(tmp_path / "song.mp3", case)
    facts = codec_facts(tmp_path / "song.mp3", "mp3", RATE)
    is_tagged = case != "A"
    assert facts.case == case
    assert facts.tag_samples == (FRAME if is_tagged else 0)
    assert facts.lead_samples == (LEAD if is_tagged else 0)


def test_what_our_decoder_leaves_out_is_counted(tmp_path: Path) -> None:
    """Without its tag, the same mp3 decodes to all that its frames hold."""
    write_case(tmp_path / "tagged.mp3", "D")
    write_case(tmp_path / "bare.mp3", "A")
    ours, all_of_it = decoded(tmp_path / "tagged.mp3"), decoded(tmp_path / "bare.mp3")
    facts = codec_facts(tmp_path / "tagged.mp3", "mp3", RATE)
    lead, samples = facts.lead_samples, ours.shape[1]
    assert facts.coded_samples == all_of_it.shape[1]
    np.testing.assert_allclose(all_of_it[:, lead : lead + samples], ours, atol=1e-6)
    assert np.abs(all_of_it[:, lead + 1 : lead + 1 + samples] - ours).max() > 0.01


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("rekordbox", (0, LEAD, LEAD, LEAD + FRAME)),
        ("traktor", (0, LEAD + FRAME, LEAD + FRAME, LEAD + FRAME)),
        ("serato", (0, LEAD + FRAME, LEAD + FRAME, LEAD + FRAME)),
        ("mixxx", (0, LEAD, LEAD, LEAD)),
    ],
)
def test_each_program_counts_from_its_own_start(
    tmp_path: Path, program: str, expected: tuple[int, ...]
) -> None:
    for case, samples in zip(CASES, expected, strict=True):
        write_case(tmp_path / f"{case}.mp3", case)
        facts = codec_facts(tmp_path / f"{case}.mp3", "mp3float", RATE)
        assert offset_samples(program, facts) == samples, case
        assert offset_seconds(program, facts) == samples / RATE


def test_the_published_differences_between_programs_come_out() -> None:
    """dj-data-converter: Traktor 26 ms behind rekordbox in cases B and C, else level.
    Mixxx: rekordbox 26 ms behind it in case D; Serato 26, at 48 kHz 24, in all that
    have a tag."""

    def ms(program: str, other: str, case: str, rate: int = RATE) -> int:
        lead, tag = (0, 0) if case == "A" else (LEAD, FRAME)
        facts = CodecFacts("mp3", rate, lead, None, tag, case)
        ahead = offset_seconds(program, facts) - offset_seconds(other, facts)
        return round(1000 * ahead)

    assert [ms("traktor", "rekordbox", case) for case in "ABCD"] == [0, 26, 26, 0]
    assert [ms("rekordbox", "mixxx", case) for case in "ABCD"] == [0, 0, 0, 26]
    assert [ms("serato", "mixxx", case) for case in "BCD"] == [26, 26, 26]
    assert ms("serato", "mixxx", "D", 48_000) == 24


def test_other_tags_state_no_delay(tmp_path: Path) -> None:
    media.write_song(tmp_path / "song.mp3", "mp3", seconds=1.7)
    data = with_encoder(bytearray((tmp_path / "song.mp3").read_bytes()), b"GOGO")
    (tmp_path / "song.mp3").write_bytes(data)
    facts = codec_facts(tmp_path / "song.mp3", "mp3", RATE)
    assert (facts.case, facts.lead_samples) == ("B", 0)
    assert found_tag(tmp_path / "song.mp3").encoder == ""


@pytest.mark.parametrize("kind", ["wav16", "flac", "alac", "ogg", "aiff"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_files_without_a_delay_start_alike(
    tmp_path: Path, kind: str, program: str
) -> None:
    path = tmp_path / f"song{media.KINDS[kind]}"
    media.write_song(path, kind, seconds=0.5)
    assert offset_samples(program, codec_facts(path, kind, RATE)) == 0


def test_rekordbox_plays_what_stands_before_an_m4a(tmp_path: Path) -> None:
    media.write_song(tmp_path / "song.m4a", "m4a", seconds=0.5)
    facts = codec_facts(tmp_path / "song.m4a", "aac", RATE)
    offsets = {program: offset_samples(program, facts) for program in PROGRAMS}
    assert offsets == {"rekordbox": 1024, "traktor": 0, "serato": 0, "mixxx": 0}


def test_a_program_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be one of rekordbox, .* got 'winamp'"):
        offset_samples("winamp", CodecFacts())
