"""The file formats of stems."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from serve_app.errors import InvalidInput


@dataclass(frozen=True)
class StemFormat:
    """A stem's file format: its name in requests, file suffix and media type.

    `is_float` formats can store samples over full scale; all others clip them.
    """

    name: str
    suffix: str
    media_type: str
    is_float: bool = False

    @property
    def can_clip(self) -> bool:
        """Whether a sample over full scale is lost in this format."""
        return not self.is_float


FORMATS: Mapping[str, StemFormat] = MappingProxyType(
    {
        format.name: format
        for format in (
            StemFormat("wav", ".wav", "audio/wav"),
            StemFormat("wav24", ".wav", "audio/wav"),
            StemFormat("wav32f", ".wav", "audio/wav", is_float=True),
            StemFormat("flac", ".flac", "audio/flac"),
            StemFormat("mp3", ".mp3", "audio/mpeg"),
            StemFormat("m4a", ".m4a", "audio/mp4"),
            StemFormat("opus", ".opus", "audio/ogg"),
        )
    }
)


def parse(name: str) -> StemFormat:
    """Return the format called `name`; InvalidInput, with the choices, if unknown."""
    try:
        return FORMATS[name]
    except KeyError:
        choices = ", ".join(FORMATS)
        raise InvalidInput(
            f"There is no format {name[:40]!r}. Choose one of: {choices}."
        ) from None
