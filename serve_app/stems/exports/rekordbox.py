"""rekordbox XML, which rekordbox imports as `rekordbox xml`.

The format is that of Pioneer DJ, "rekordbox xml format list" (rekordbox.com,
Developer).
"""

import re
from collections.abc import Iterator
from math import floor
from pathlib import PurePosixPath
from urllib.parse import quote
from xml.etree import ElementTree

from serve_app.stems.exports.offsets import offset_seconds
from serve_app.stems.exports.text import plain
from serve_app.stems.exports.track import Section, Segment, Track

_KINDS = {
    "mp3": "MP3 File",
    "aac": "M4A File",
    "alac": "M4A File",
    "flac": "FLAC File",
    "wav": "WAV File",
    "aiff": "AIFF File",
}
# Hot cues A to H, and the ten memory cues that rekordbox shows for a track.
_HOT_CUES, _MEMORY_CUES = 8, 10
_MEMORY = -1
# Tempos have two decimals in this format. The grid is anchored again before rounding
# has moved it by this much.
_DRIFT_SECONDS = 0.002


def render(track: Track) -> bytes:
    """Return the XML of a collection with this one track, and a playlist of it."""
    root = ElementTree.Element("DJ_PLAYLISTS", Version="1.0.0")
    ElementTree.SubElement(
        root, "PRODUCT", Name="stemserve", Version="1.0.0", Company="stemserve"
    )
    collection = ElementTree.SubElement(root, "COLLECTION", Entries="1")
    entry = ElementTree.SubElement(collection, "TRACK", _attributes(track))
    offset = offset_seconds("rekordbox", track.codec)
    for anchor in _anchors(track, offset):
        ElementTree.SubElement(entry, "TEMPO", _tempo(anchor, offset))
    for section, number in _marks(track):
        ElementTree.SubElement(entry, "POSITION_MARK", _mark(section, number, offset))
    playlists = ElementTree.SubElement(root, "PLAYLISTS")
    folder = ElementTree.SubElement(playlists, "NODE", Type="0", Name="ROOT", Count="1")
    playlist = ElementTree.SubElement(
        folder, "NODE", Name="stemserve", Type="1", KeyType="0", Entries="1"
    )
    ElementTree.SubElement(playlist, "TRACK", Key="1")
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def location(place: str) -> str:
    """Return a path, URL or file name as the URL that rekordbox expects.

    >>> location("/music/a b.mp3")
    'file://localhost/music/a%20b.mp3'
    >>> location("C:\\\\music\\\\a.mp3")
    'file://localhost/C:/music/a.mp3'
    """
    url = re.match(r"file://(?:localhost)?/(.*)", place, re.DOTALL)
    if url is not None:
        return f"file://localhost/{url[1]}"
    path = place
    if re.match(r"[A-Za-z]:[\\/]", place):
        path = place.replace("\\", "/")
    return f"file://localhost/{quote(plain(path).lstrip('/'), safe='/:')}"


def _attributes(track: Track) -> dict[str, str]:
    tags = track.tags
    texts = {
        "TrackID": "1",
        "Name": track.title,
        "Artist": tags.artist,
        "Album": tags.album,
        "Genre": tags.genre,
        "Kind": _kind(track),
        "Size": str(track.size_bytes),
        "TotalTime": str(round(track.duration_seconds)),
        "TrackNumber": _number(tags.track),
        "Year": tags.year or "0",
        "AverageBpm": f"{track.bpm:.2f}",
        "SampleRate": str(track.sample_rate),
        "Comments": tags.comment,
        "Location": location(track.location),
        "Tonality": track.short_key,
    }
    return {name: plain(text) for name, text in texts.items()}


def _kind(track: Track) -> str:
    suffix = PurePosixPath(track.file_name).suffix[1:].lower()
    codec = track.codec.codec
    return _KINDS.get("mp3" if codec.startswith("mp3") else codec) or _KINDS.get(
        suffix, f"{suffix.upper()} File" if suffix else "Unknown Format"
    )


def _number(track: str) -> str:
    """Return the first number of `3/12`."""
    digits = re.match(r"\d{1,6}", track)
    return digits[0] if digits else "0"


def _anchors(track: Track, offset: float) -> Iterator[Segment]:
    """Yield the segments, and further downbeats that keep the grid from drifting.

    rekordbox has no beats before the first anchor, so this is the first beat of the
    file in rekordbox's time.
    """
    for place, (segment, end) in enumerate(track.stretches()):
        start = _first_beat(segment, offset) if place == 0 else segment
        yield start
        drift = abs(60 / round(segment.bpm, 2) - segment.beat_seconds)
        bar_drift = drift * segment.beats_per_bar
        if not bar_drift:
            continue
        bars = max(1, int(_DRIFT_SECONDS / bar_drift))
        to_downbeat = -(start.beat - 1) % segment.beats_per_bar
        step = bars * segment.beats_per_bar
        anchor = start.moved(to_downbeat + step)
        while anchor.start_seconds < end - segment.beat_seconds / 2:
            yield anchor
            anchor = anchor.moved(step)


def _first_beat(segment: Segment, offset: float) -> Segment:
    beats = (segment.start_seconds + offset) / segment.beat_seconds
    return segment.moved(-floor(beats + 1e-6))


def _tempo(segment: Segment, offset: float) -> dict[str, str]:
    return {
        "Inizio": f"{segment.start_seconds + offset:.3f}",
        "Bpm": f"{segment.bpm:.2f}",
        "Metro": segment.meter,
        "Battito": str(segment.beat),
    }


def _marks(track: Track) -> Iterator[tuple[Section, int]]:
    """Yield ten sections as memory cues, and the first eight also as hot cues."""
    for section in track.sections[:_MEMORY_CUES]:
        yield section, _MEMORY
    for number, section in enumerate(track.sections[:_HOT_CUES]):
        yield section, number


def _mark(section: Section, number: int, offset: float) -> dict[str, str]:
    return {
        "Name": plain(section.name),
        "Type": "0",
        "Start": f"{max(0.0, section.start_seconds) + offset:.3f}",
        "Num": str(number),
    }
