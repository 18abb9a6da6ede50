"""Cue sheets: a song's sections as the tracks of its file.

CDRWIN's user guide, appendix A: players show each track, while few show a second index.
"""

from pathlib import PurePosixPath

from serve_app.stems.exports.text import plain
from serve_app.stems.exports.track import Section, Track

_FRAMES_PER_SECOND = 75
_TRACKS = 99
_TYPES = {".aif": "AIFF", ".aiff": "AIFF", ".mp3": "MP3"}


def render(track: Track) -> bytes:
    """Return the sheet, of one track where the song has no sections.

    In UTF-8, with a byte order mark where it is not ASCII: that is how players know.
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
    """Return minutes, seconds and frames, of which there are 75 a second.

    >>> timecode(61.5)
    '01:01:37'
    """
    # Rounded down: a track that starts a little early does not lose its first beat.
    frames = int(seconds * _FRAMES_PER_SECOND + 1e-6)
    whole, frame = divmod(frames, _FRAMES_PER_SECOND)
    return f"{whole // 60:02}:{whole % 60:02}:{frame:02}"


def _type(track: Track) -> str:
    """Return the type of the file; all that is neither MP3 nor AIFF is WAVE."""
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
    """Return at most 99 sections, one a frame, the first from the start on."""
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
