"""Songs for the tests of the exports."""

from pathlib import Path

from serve_app.audio.mpeg import InfoTag, info_tag
from serve_app.stems.exports.track import Section, Segment, Track

RATE = 44_100
# The least that is a PNG.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c626001000000ffff03000006000557bfabd40000000049454e44ae426082"
)


def track(**changes: object) -> Track:
    """A song of ten minutes at 128 bpm, its first downbeat at 0.25 s."""
    values: dict[str, object] = {
        "location": "/music/song.mp3",
        "samples": 600 * RATE,
        "sample_rate": RATE,
        "bpm": 128.0,
        "key": "F# minor",
        "segments": (Segment(0.25, 128.0),),
        "sections": (Section(0.25, "intro"), Section(60.25, "drop")),
    }
    return Track(**{**values, **changes})  # type: ignore[arg-type]


def found_tag(path: Path) -> InfoTag:
    tag = info_tag(path)
    assert tag is not None
    return tag
