"""The attributes are those of Pioneer's "rekordbox xml format list"."""

import re
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from serve_app.stems.exports import rekordbox
from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.tags import Tags
from serve_app.stems.exports.track import Section, Segment
from tests.unit.stems.exports.songs import track

TEXT, WHOLE, TWO, THREE = r".*", r"\d+", r"\d+\.\d\d", r"\d+\.\d{3}"
# Element -> attribute -> how its value is written; those in capitals must be there.
PUBLISHED = {
    "DJ_PLAYLISTS": {"Version": r"1\.0\.0"},
    "PRODUCT": {"Name": TEXT, "Version": TEXT, "Company": TEXT},
    "COLLECTION": {"Entries": WHOLE},
    "TRACK": {
        "TrackID": WHOLE,
        "Name": TEXT,
        "Artist": TEXT,
        "Album": TEXT,
        "Genre": TEXT,
        "Kind": TEXT,
        "Size": WHOLE,
        "TotalTime": WHOLE,
        "TrackNumber": WHOLE,
        "Year": WHOLE,
        "AverageBpm": TWO,
        "SampleRate": WHOLE,
        "Comments": TEXT,
        "Location": r"file://localhost/[!-~]+",
        "Tonality": r"([A-G][#b]?m?)?",
    },
    "TEMPO": {"Inizio": THREE, "Bpm": TWO, "Metro": r"\d+/\d+", "Battito": r"[1-9]"},
    "POSITION_MARK": {
        "Name": TEXT,
        "Type": "[0-4]",
        "Start": THREE,
        "Num": "-1|[0-7]",
    },
}


def parsed(**changes: object) -> Element:
    xml = rekordbox.render(track(**changes))
    assert xml.startswith(b"<?xml version=")
    return ElementTree.fromstring(xml)  # noqa: S314 - it is our own


def entry(root: Element) -> Element:
    found = root.find("COLLECTION/TRACK")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"segments": (), "bpm": 0.0, "key": "", "sections": ()},
        {"segments": (Segment(0.1, 90.0, "3/4", 2), Segment(30.1, 173.337, "7/8"))},
    ],
)
def test_every_element_has_the_published_attributes(changes: dict[str, object]) -> None:
    root = parsed(**changes)
    elements = [root, *root[:2], *root.iterfind("COLLECTION//*")]
    for element in elements:
        forms = PUBLISHED[element.tag]
        assert element.attrib.keys() == forms.keys(), element.tag
        for name, form in forms.items():
            assert re.fullmatch(form, element.attrib[name]), (name, element.attrib)
    assert [node.attrib["Type"] for node in root.iter("NODE")] == ["0", "1"]
    assert root.find("PLAYLISTS//TRACK[@Key='1']") is not None


@pytest.mark.parametrize(
    "title",
    ['say "no" & <go>', "it's", "bell\x07 nul\x00 \ud800 \ufffe", "🎉 ünï 日本", "]]>"],
)
def test_any_title_is_well_formed(title: str) -> None:
    sections = (Section(1.0, title),)
    found = entry(parsed(tags=Tags(title=title, artist=title), sections=sections))
    kept = re.sub("[\x00-\x1f\ud800\ufffe]+", " ", title).strip()
    assert found.attrib["Name"] == found.attrib["Artist"] == kept
    assert {mark.attrib["Name"] for mark in found.iter("POSITION_MARK")} == {kept}


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("/m/a b#1?.mp3", "file://localhost/m/a%20b%231%3F.mp3"),
        ("C:\\m\\ü.mp3", "file://localhost/C:/m/%C3%BC.mp3"),
        ("song.mp3", "file://localhost/song.mp3"),
        ("file:///m/a%20b.mp3", "file://localhost/m/a%20b.mp3"),
        ("file://localhost/m/a%20b.mp3", "file://localhost/m/a%20b.mp3"),
    ],
)
def test_the_location_is_a_url(place: str, url: str) -> None:
    assert rekordbox.location(place) == url


def test_the_location_is_escaped_and_comes_back() -> None:
    name = "100% & \"q\" 'a' 🎉;+=.mp3"
    url = entry(parsed(location=f"/m/{name}")).attrib["Location"]
    assert unquote(url.removeprefix("file://localhost")) == f"/m/{name}"


def beats_of(found: Element, until: float) -> list[float]:
    """The beats as rekordbox draws them: each TEMPO goes up to the next."""
    tempos = [
        (float(tempo.attrib["Inizio"]), float(tempo.attrib["Bpm"]))
        for tempo in found.iter("TEMPO")
    ]
    ends = [start for start, _ in tempos[1:]] + [until]
    return [
        start + beat * 60 / bpm
        for (start, bpm), end in zip(tempos, ends, strict=True)
        for beat in range(round((end - start) * bpm / 60))
    ]


@pytest.mark.parametrize("bpm", [128.0, 127.954, 89.9951, 174.0049])
def test_the_grid_is_in_place_after_ten_minutes(bpm: float) -> None:
    """Although a tempo has two decimals in this format."""
    found = entry(parsed(bpm=bpm, segments=(Segment(0.25, bpm),)))
    beats = beats_of(found, 600)
    truth = [0.25 + beat * 60 / bpm for beat in range(len(beats))]
    assert len(beats) >= 599 * bpm / 60
    assert max(abs(ours - true) for ours, true in zip(beats, truth, strict=True)) < 3e-3
    assert {tempo.attrib["Battito"] for tempo in found.iter("TEMPO")} == {"1"}


def test_a_tempo_of_two_decimals_is_told_once() -> None:
    assert len(entry(parsed()).findall("TEMPO")) == 1


def test_a_grid_from_before_the_start_begins_with_a_later_beat() -> None:
    [tempo] = entry(parsed(segments=(Segment(-0.6, 120.0, "4/4", 4),))).iter("TEMPO")
    assert (tempo.attrib["Inizio"], tempo.attrib["Battito"]) == ("0.400", "2")


def test_without_segments_the_first_downbeat_is_the_grid() -> None:
    [tempo] = entry(
        parsed(segments=(), beats=(0.1, 0.6), downbeats=(0.6,), bpm=120.0)
    ).iter("TEMPO")
    assert (tempo.attrib["Inizio"], tempo.attrib["Bpm"]) == ("0.100", "120.00")
    assert tempo.attrib["Battito"] == "4"


@pytest.mark.parametrize(
    ("start", "codec", "first"),
    [
        (4.4, CodecFacts(), ("0.400", "1")),
        (1.9, CodecFacts(), ("0.400", "2")),
        (2.0, CodecFacts(), ("0.000", "1")),
        # A beat that is just before the song for us is in it for rekordbox.
        (1.998, CodecFacts("mp3", 44_100, 1105, None, 1152, "B"), ("0.023", "1")),
    ],
)
def test_the_grid_begins_with_the_songs_first_beat(
    start: float, codec: CodecFacts, first: tuple[str, str]
) -> None:
    """rekordbox draws none before the first that it is told."""
    segments = (Segment(start, 120.0),)
    tempo = next(entry(parsed(segments=segments, codec=codec)).iter("TEMPO"))
    assert (tempo.attrib["Inizio"], tempo.attrib["Battito"]) == first


def test_sections_are_memory_cues_and_the_first_eight_hot_cues() -> None:
    sections = tuple(Section(10.0 * n, f"s{n}") for n in range(12))
    marks = list(entry(parsed(sections=sections)).iter("POSITION_MARK"))
    numbers = [mark.attrib["Num"] for mark in marks]
    assert numbers == ["-1"] * 10 + [str(n) for n in range(8)]


def test_an_mp3_is_told_in_the_time_of_rekordbox() -> None:
    codec = CodecFacts("mp3", 44_100, 1105, 26_460_000, 1152, "D")
    found = entry(parsed(codec=codec))
    [tempo] = found.iter("TEMPO")
    assert tempo.attrib["Inizio"] == f"{0.25 + (1105 + 1152) / 44_100:.3f}"
    assert found.findall("POSITION_MARK")[0].attrib["Start"] == tempo.attrib["Inizio"]


@pytest.mark.parametrize(
    ("codec", "name", "kind"),
    [
        ("mp3float", "x", "MP3 File"),
        ("", "x.flac", "FLAC File"),
        ("pcm_s16le", "x.wav", "WAV File"),
        ("vorbis", "x.ogg", "OGG File"),
    ],
)
def test_the_kind_of_file_is_named(codec: str, name: str, kind: str) -> None:
    found = entry(parsed(location=name, codec=CodecFacts(codec)))
    assert found.attrib["Kind"] == kind


def test_tags_of_the_original_are_carried() -> None:
    tags = Tags(title="t", album="a", genre="g", date="1999-05", track="7/12")
    attributes = entry(parsed(tags=tags)).attrib
    assert [attributes[name] for name in ("Album", "Genre", "Year", "TrackNumber")] == [
        *("a", "g", "1999", "7")
    ]
