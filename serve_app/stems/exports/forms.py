"""The export formats by name, for the API and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from serve_app.errors import InvalidInput


@dataclass(frozen=True)
class Export:
    """An export format; its writer is in `writers`."""

    name: str
    media_type: str
    suffix: str
    needs_stems: bool = False


EXPORTS: Mapping[str, Export] = MappingProxyType(
    {
        export.name: export
        for export in (
            Export("rekordbox", "application/xml", ".xml"),
            Export("cue", "application/x-cue", ".cue"),
            Export("mixxx", "application/sql", ".sql"),
            Export("stem.mp4", "audio/mp4", ".stem.mp4", needs_stems=True),
            Export("stem.mp4-alac", "audio/mp4", ".stem.mp4", needs_stems=True),
            Export("serato", "application/zip", ".zip", needs_stems=True),
        )
    }
)


def parse(name: str) -> Export:
    """Return the export format `name`; raise InvalidInput if it is unknown."""
    try:
        return EXPORTS[name]
    except KeyError:
        choices = ", ".join(EXPORTS)
        raise InvalidInput(
            f"There is no export {name[:40]!r}. Choose one of: {choices}."
        ) from None
