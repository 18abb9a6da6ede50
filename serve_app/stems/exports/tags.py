"""The tags of a song, carried from the original into what is made of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serve_app.audio import labels
from serve_app.stems.exports.text import plain

# Each stem has a copy of it.
_STEM_COVER_BYTES = 2**20


@dataclass(frozen=True)
class Cover:
    """A picture, JPEG or PNG."""

    media_type: str
    data: bytes


@dataclass(frozen=True)
class Tags:
    """What a file says of its song. Empty texts and a tempo of 0 are not written.

    `key` is as ID3's TKEY has it: `C#m`. `beat_grid` is what goes into Serato's tag.
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
        """The tempo with up to two decimals, which is how DJ programs write it."""
        return f"{self.bpm:.2f}".rstrip("0").rstrip(".") if self.bpm > 0 else ""

    def of_stem(self, stem: str) -> "Tags":
        """Return the tags for a stem, named in the title: `Song (Vocals)`.

        No title is made up, and large covers are left out.
        """
        cover = self.cover
        if cover is not None and len(cover.data) > _STEM_COVER_BYTES:
            cover = None
        title = f"{self.title} ({stem.capitalize()})" if self.title else ""
        return replace(self, title=title, cover=cover)


def read(path: Path) -> Tags:
    """Read a file's tags; UnreadableAudio where it is no audio.

    What is in it as tempo and key is not taken: they are for the analysis to say.
    """
    found = labels.read(path)
    tags = Tags(cover=None if found.cover is None else Cover(*found.cover))
    texts: dict[str, Any] = {
        name: plain(value) for name, value in found.carried.items()
    }
    return replace(tags, **texts)
