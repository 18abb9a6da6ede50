"""The tags of a song, which its exports and stems carry too."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serve_app.audio import labels
from serve_app.stems.exports.text import plain

# The limit of a cover in a stem: each stem has a copy.
_STEM_COVER_BYTES = 2**20


@dataclass(frozen=True)
class Cover:
    """A picture, JPEG or PNG."""

    media_type: str
    data: bytes


@dataclass(frozen=True)
class Tags:
    """The tags of a song's file. Empty texts and a tempo of 0 are not written.

    `key` has the form of ID3's TKEY: `C#m`. `beat_grid` is the content of Serato's tag.
    """

    title: str = ""
    artist: str = ""
    album: str = ""
    album_artist: str = ""
    genre: str = ""
    date: str = ""
    track: str = ""
    comment: str = ""
    bpm: float = 0.0
    key: str = ""
    cover: Cover | None = None
    beat_grid: bytes = b""

    @property
    def year(self) -> str:
        """The first four digits of the date, if it starts with them."""
        return self.date[:4] if self.date[:4].isdecimal() else ""

    @property
    def bpm_text(self) -> str:
        """The tempo with up to two decimals, as DJ programs write it."""
        return f"{self.bpm:.2f}".rstrip("0").rstrip(".") if self.bpm > 0 else ""

    def of_stem(self, stem: str) -> "Tags":
        """Return the tags for a stem, with its name in the title: `Song (Vocals)`.

        An empty title stays empty. Covers over 1 MiB are left out.
        """
        cover = self.cover
        if cover is not None and len(cover.data) > _STEM_COVER_BYTES:
            cover = None
        title = f"{self.title} ({stem.capitalize()})" if self.title else ""
        return replace(self, title=title, cover=cover)


def read(path: Path) -> Tags:
    """Read a file's tags; raise UnreadableAudio if it is not audio.

    The file's tempo and key are ignored: the analysis supplies them.
    """
    found = labels.read(path)
    tags = Tags(cover=None if found.cover is None else Cover(*found.cover))
    texts: dict[str, Any] = {
        name: plain(value) for name, value in found.carried.items()
    }
    return replace(tags, **texts)
