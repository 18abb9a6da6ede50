"""Cue sheets: the sections of a song as tracks of its file.

The format is that of CDRWIN's user guide, appendix A. Sections are tracks, because all
players show tracks, but few show a second index.
"""

from pathlib import PurePosixPath

from serve_app.stems.exports.text import plain
from serve_app.stems.exports.track import Section, Track

_FRAMES_PER_SECOND = 75
_TRACKS = 99
_TYPES = {".aif": "AIFF", ".aiff": "AIFF", ".mp3": "MP3"}


def render(track: Track) -> bytes:
    """Return the cue sheet, with one track if the song has no sections.

    It is UTF-8, with a byte order mark unless it is ASCII, by which players detect it.
    """
    tags = track.tags
    lines = [f"REM {name} {value}" for name, value in _remarks(track) if value]
    if tags.artist:
        lines.append(f"PERFORMER {_quoted(tags.artist)}")
    lines.append(f"TITLE {_quoted(track.title)}")
    lines.append(f"FILE {_quoted(track.file_name)} {_type(track)}")
    for number, section in enumerate(_sections(track), 1):
        lines += [
            f"  TRACK {number:02} AUDIO",
            f"    TITLE {_quoted(section.name)}",
            f"    INDEX 01 {timecode(section.start_seconds)}",
        ]
    text = "".join(f"{line}\r\n" for line in lines)
    return text.encode("ascii" if text.isascii() else "utf-8-sig")


def timecode(seconds: float) -> str:
    """Return minutes, seconds and frames, at 75 frames a second.

    >>> timecode(61.5)
    '01:01:37'
    """
    # Rounded down, so that a track does not lose its first beat.
    frames = int(seconds * _FRAMES_PER_SECOND + 1e-6)
    whole, frame = divmod(frames, _FRAMES_PER_SECOND)
    return f"{whole // 60:02}:{whole % 60:02}:{frame:02}"


def _type(track: Track) -> str:
    """Return the type of the file: MP3, AIFF, or WAVE for all others."""
    if track.codec.codec.startswith("mp3"):
        return "MP3"
    return _TYPES.get(PurePosixPath(track.file_name.lower()).suffix, "WAVE")


def _remarks(track: Track) -> list[tuple[str, str]]:
    return [
        ("GENRE", _quoted(track.tags.genre) if track.tags.genre else ""),
        ("DATE", track.tags.year),
        ("BPM", track.tagged.bpm_text),
        ("KEY", track.short_key),
    ]


def _sections(track: Track) -> list[Section]:
    """Return at most 99 sections, at most one per frame, the first at 0 s."""
    found: dict[str, Section] = {}
    for section in sorted(track.sections, key=lambda section: section.start_seconds):
        if 0 <= section.start_seconds < track.duration_seconds:
            found.setdefault(timecode(section.start_seconds), section)
    sections = list(found.values())
    if not sections or timecode(sections[0].start_seconds) != timecode(0):
        sections.insert(0, Section(0.0, track.title))
    return sections[:_TRACKS]


def _quoted(text: str) -> str:
    # The format has no escape for quotes.
    return '"' + plain(text).replace('"', "'") + '"'
