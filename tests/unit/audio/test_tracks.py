"""The choice of the song among several tracks."""

import re
from pathlib import Path

import pytest
from av.stream import Disposition

from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from tests import containers as made
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
DEFAULT = int(Disposition.default.value)
COMMENT = int(Disposition.comment.value)
# The tracks are identified by their rates.
RATES = (44_100, 48_000, 32_000)
# ISO/IEC 14496-12, 8.5.2: six reserved bytes, and the first data reference.
SAMPLE_ENTRY = re.compile(b"mp4a\0{6}\0\1")


def write_tracks(path: Path, container: str, *dispositions: int | None) -> None:
    """Write tracks of which each later one has twice the bit rate and is longer."""
    tracks = [
        made.Track(
            "aac",
            media.song(1.0 + index, rate),
            rate,
            bit_rate=64_000 << index,
            disposition=flags,
        )
        for index, (flags, rate) in enumerate(zip(dispositions, RATES, strict=False))
    ]
    made.mux(path, container, tracks)


@pytest.mark.parametrize(
    ("container", "dispositions", "rate"),
    [
        ("matroska", (DEFAULT, DEFAULT), 44_100),
        ("matroska", (0, DEFAULT), 48_000),
        ("matroska", (0, 0, DEFAULT), 32_000),
        ("matroska", (0, 0, 0), 44_100),
        ("matroska", (DEFAULT | COMMENT, DEFAULT), 48_000),
        ("matroska", (COMMENT, 0, 0), 48_000),
        ("matroska", (DEFAULT | COMMENT, 0), 44_100),
        ("mp4", (DEFAULT, DEFAULT, DEFAULT), 44_100),
        ("mp4", (0, DEFAULT), 48_000),
        ("mp4", (DEFAULT, 0), 44_100),
        ("mov", (0, 0, DEFAULT), 32_000),
        ("mpegts", (None, None), 44_100),
    ],
)
def test_the_first_default_track_is_the_song(
    tmp_path: Path, container: str, dispositions: tuple[int | None, ...], rate: int
) -> None:
    path = tmp_path / "song"
    write_tracks(path, container, *dispositions)
    assert measure(path, LIMITS).sample_rate == rate


@pytest.mark.parametrize("stems", [1, 2])
def test_a_stem_files_first_track_is_its_mix(tmp_path: Path, stems: int) -> None:
    path = tmp_path / "song.stem.mp4"
    write_tracks(path, "mp4", DEFAULT, *[0] * stems)
    facts = measure(path, LIMITS)
    assert (facts.sample_rate, facts.samples) == (44_100, 44_100)


@pytest.mark.parametrize("unknown", [0, 1, 2])
@pytest.mark.parametrize("container", ["mov", "mp4"])
def test_a_track_without_a_decoder_is_passed_over(
    tmp_path: Path, container: str, unknown: int
) -> None:
    """Phones write an APAC and an AAC track, both marked as default."""
    path = tmp_path / "song"
    write_tracks(path, container, DEFAULT, DEFAULT, DEFAULT)
    data = path.read_bytes()
    places = [match.start() for match in SAMPLE_ENTRY.finditer(data)]
    assert len(places) == len(RATES)
    place = places[unknown]
    entry = data[place : place + 200].replace(b"mp4a", b"apac", 1)
    # The descriptor would take precedence over the entry's name.
    entry = entry.replace(b"esds", b"free", 1)
    path.write_bytes(data[:place] + entry + data[place + 200 :])
    facts = measure(path, LIMITS)
    assert facts.sample_rate == RATES[1 if unknown == 0 else 0]
    assert facts.codec == "aac"
