"""The report's picture, by its visible contents."""

from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from serve_app.errors import InvalidInput
from serve_app.pictures.report import Report, draw

SVG = "{http://www.w3.org/2000/svg}"
BEAT = 60 / 128
LEVELS = np.abs(np.random.default_rng(2).standard_normal((900, 3))) * 0.2
REPORT = Report(
    title="Midnight Drive",
    duration_seconds=210.0,
    waveform=np.stack([-LEVELS, LEVELS], axis=2).astype(np.float32),
    bpm=128.0,
    key="A minor",
    facts=("-8.3 LUFS", "4/4"),
    beats=[count * BEAT for count in range(448)],
    downbeats=[count * 4 * BEAT for count in range(112)],
    keys=[(0, 120, "A minor"), (120, 205, "B minor"), (205, 210, "C major")],
    sections=[(0, 30, "A", 0.1), (30, 180, "B", 1.0), (180, 210, "A", 0.5)],
    loudness=[None, *[-20.0] * 1_000, *[-10.0] * 1_000, None],
)


def svg(report: Report, width: int = 1_600, height: int = 600) -> ElementTree.Element:
    return ElementTree.fromstring(draw(report, "svg", width, height))  # noqa: S314


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def rectangles(root: ElementTree.Element, colour: str) -> list[tuple[float, ...]]:
    return [
        tuple(float(found.get(name, "")) for name in ("x", "y", "width", "height"))
        for found in root.iter(f"{SVG}rect")
        if found.get("fill") == colour
    ]


def downbeats(report: Report) -> list[float]:
    """Return the positions of bar ticks at the panel's top and bottom."""
    return sorted({x for x, *_ in rectangles(svg(report), "#ff5c4d")})


def test_title_tempo_key_and_facts_are_written() -> None:
    found = texts(svg(REPORT))
    assert "Midnight Drive" in found
    assert "128.00 BPM    A minor" in found
    assert "3:30   -8.3 LUFS   4/4" in found
    for time in ("0:00", "1:00", "2:30"):
        assert time in found


def test_what_was_not_found_is_said() -> None:
    found = texts(svg(replace(REPORT, bpm=None, key=None)))
    assert "no beat    no key" in found


def test_a_stem_has_its_name_and_what_is_known_of_stems() -> None:
    stem = replace(
        REPORT, stem="drums", bpm=None, key=None, keys=(), sections=(), beats=()
    )
    found = texts(svg(stem))
    assert {"Midnight Drive", "drums", "Waveform", "Loudness"} <= set(found)
    assert not {"no beat    no key", "Sections", "Key"} & set(found)
    assert max(rectangles(svg(stem), "#14171f")) > max(
        rectangles(svg(REPORT), "#14171f")
    )


@pytest.mark.parametrize(
    ("level", "line"), [(-20.0, "-12 dB"), (-37.0, "-24 dB"), (-70.0, "-72 dB")]
)
def test_the_loudness_of_what_is_quiet_is_seen(level: float, line: str) -> None:
    root = svg(replace(REPORT, loudness=[level] * 200))
    assert line in texts(root)
    drawn = [each for each in root if each.get("fill") == "#6b7fa8"]
    silent = svg(replace(REPORT, loudness=[None] * 200))
    none = [each for each in silent if each.get("fill") == "#6b7fa8"]
    assert [each.attrib for each in drawn] != [each.attrib for each in none]


def test_sections_lie_where_they_are_and_are_as_high_as_their_energy() -> None:
    root = svg(REPORT)
    first, last = rectangles(root, "#8fb4f0")
    (middle,) = rectangles(root, "#f3b67a")
    left, width = first[0], last[0] + last[2] - first[0]
    assert first[2] / width == pytest.approx(30 / 210, abs=0.002)
    assert (middle[0] - left) / width == pytest.approx(30 / 210, abs=0.002)
    assert middle[2] / width == pytest.approx(150 / 210, abs=0.002)
    assert first[3] < last[3] < middle[3]
    bottoms = {part[1] + part[3] for part in (first, middle, last)}
    assert len(bottoms) == 1
    assert [text for text in texts(root) if text in "ABC"] == ["A", "B", "A", "C"]


def test_keys_are_named_whole_short_or_not_at_all() -> None:
    found = texts(svg(REPORT))
    assert {"A minor", "B minor", "C"} <= set(found)
    assert "C major" not in found
    narrow = replace(REPORT, keys=[(0, 209, "A minor"), (209, 210, "F# minor")])
    assert not any(text.startswith("F") for text in texts(svg(narrow)))


def test_keys_that_mix_have_the_same_colour_and_others_another() -> None:
    names = ("A minor", "C major", "F# major", "G minor")
    spans = [(count * 50, count * 50 + 50, name) for count, name in enumerate(names)]
    root = svg(replace(REPORT, duration_seconds=200.0, keys=spans, sections=()))
    row = next(
        rectangle
        for rectangle in root.iter(f"{SVG}rect")
        if rectangle.get("fill") == "#f8c8c8"
    )
    colours = [
        found.get("fill")
        for found in root.iter(f"{SVG}rect")
        if found.get("y") == row.get("y") and float(found.get("width", "")) > 300
    ]
    # The row's background, then four keys.
    assert len(colours) == 5
    assert colours[1] == colours[2]
    assert len(set(colours)) == 4


def test_bars_are_marked_as_densely_as_can_be_seen() -> None:
    bars = downbeats(REPORT)
    assert len(bars) == 112
    assert np.diff(bars).min() >= 6
    long = replace(
        REPORT,
        duration_seconds=840.0,
        downbeats=[count * 4 * BEAT for count in range(448)],
    )
    assert len(downbeats(long)) == 224
    endless = replace(REPORT, downbeats=np.arange(0, 210, 0.001).tolist())
    assert not downbeats(endless)


def test_beats_are_marked_where_there_is_room() -> None:
    assert not rectangles(svg(REPORT), "#aab2c2")
    loop = replace(REPORT, duration_seconds=7.5, beats=[i * BEAT for i in range(16)])
    assert len(rectangles(svg(loop), "#aab2c2")) == 32


def test_loudness_is_as_high_as_it_is_loud() -> None:
    picture = Image.open(BytesIO(draw(REPORT, "png"))).convert("RGB")
    pixels = np.asarray(picture)
    is_level = (pixels == (0x6B, 0x7F, 0xA8)).all(axis=2).sum(axis=0)
    left, right = np.flatnonzero(is_level)[[0, -1]]
    quarter, three_quarters = (
        is_level[left + (right - left) * part // 4] for part in (1, 3)
    )
    # -20 and -10 dB of 48, less the lines over it.
    assert quarter / three_quarters == pytest.approx(28 / 38, abs=0.05)


def test_times_are_drawn_within_the_song() -> None:
    root = svg(replace(REPORT, duration_seconds=100.0))
    (panel,) = (found for found in rectangles(root, "#14171f"))
    (long,) = rectangles(root, "#f3b67a")
    assert (long[0] - panel[0]) / panel[2] == pytest.approx(0.3, abs=0.001)
    assert long[0] + long[2] == panel[0] + panel[2]
    places = [x for x, *_ in rectangles(root, "#ff5c4d")]
    assert max(places) <= panel[0] + panel[2]


@pytest.mark.parametrize("seconds", [1 / 44_100, 0.2, 5.0, 36_000.0])
@pytest.mark.parametrize("form", ["png", "svg"])
@pytest.mark.parametrize("size", [(640, 240), (1_600, 600), (4_096, 240)])
def test_any_length_is_drawn(seconds: float, form: str, size: tuple[int, int]) -> None:
    empty = Report("", seconds, np.zeros((0, 3, 2), np.float32))
    assert draw(empty, form, *size)
    assert draw(replace(REPORT, duration_seconds=seconds), form, *size)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.2, "0.2 s"), (7.5, "7.5 s"), (75.0, "1:15"), (36_000.0, "10:00:00")],
)
def test_the_length_is_written_as_people_do(seconds: float, written: str) -> None:
    found = texts(svg(replace(REPORT, duration_seconds=seconds, facts=())))
    assert written in found


def test_svg_carries_titles_that_no_font_of_ours_has_and_nothing_invalid() -> None:
    assert "夜に駆ける" in texts(svg(replace(REPORT, title="夜に駆ける")))
    strange = "a\x00\x1b<b> & \ud800 \ufffe c"
    assert "a<b> &   c" in texts(svg(replace(REPORT, title=strange)))


def test_a_long_title_ends_before_the_tempo() -> None:
    long = replace(REPORT, title="A very long title " * 30)
    (title,) = [text for text in texts(svg(long)) if text.startswith("A very")]
    assert title.endswith("\u2026")
    assert len(title) < 80
    picture = np.asarray(Image.open(BytesIO(draw(long, "png"))).convert("L"))
    assert (picture[20:60, 850:880] > 250).all()


@pytest.mark.parametrize("size", [(639, 600), (1_600, 239), (5_000, 600)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="must be from"):
        draw(REPORT, "png", *size)
