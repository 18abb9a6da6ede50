"""The exports by name, for the API and the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from serve_app.errors import InvalidInput
from serve_app.exports import cue_sheet, exact_length, mixxx, rekordbox, stem_mp4
from serve_app.exports.track import Track


@dataclass(frozen=True)
class Song:
    """What is exported: a track, and the files of its mix and stems where they exist.

    `stem_gain` is the gain that all stems got so that none clips.
    """

    track: Track
    mix: Path | None = None
    stems: Mapping[str, Path] = field(default_factory=dict)
    stem_gain: float = 1.0


@dataclass(frozen=True)
class Export:
    """A form to export in: `write` puts a song in it at a path.

    `write` raises ValueError, which says why, where this song has no such form.
    """

    name: str
    media_type: str
    suffix: str
    write: Callable[[Song, Path], None]
    needs_stems: bool = False


def _text(render: Callable[[Track], bytes]) -> Callable[[Song, Path], None]:
    def write(song: Song, target: Path) -> None:
        target.write_bytes(render(song.track))

    return write


def _stem_mp4(song: Song, target: Path, *, codec: str) -> None:
    if song.mix is None:
        raise ValueError("A stem.mp4 needs the song itself, which is gone.")
    stem_mp4.write(
        song.track, song.mix, song.stems, target, codec=codec, mix_gain=song.stem_gain
    )


def _serato(song: Song, target: Path) -> None:
    exact_length.write_zip(song.track, song.stems, target)


EXPORTS: Mapping[str, Export] = MappingProxyType(
    {
        export.name: export
        for export in (
            Export("rekordbox", "application/xml", ".xml", _text(rekordbox.render)),
            Export("cue", "application/x-cue", ".cue", _text(cue_sheet.render)),
            Export("mixxx", "application/sql", ".sql", _text(mixxx.render)),
            Export(
                *("stem.mp4", "audio/mp4", ".stem.mp4"),
                partial(_stem_mp4, codec="aac"),
                needs_stems=True,
            ),
            Export(
                *("stem.mp4-alac", "audio/mp4", ".stem.mp4"),
                partial(_stem_mp4, codec="alac"),
                needs_stems=True,
            ),
            Export("serato", "application/zip", ".zip", _serato, needs_stems=True),
        )
    }
)


def parse(name: str) -> Export:
    """Return the export called `name`; InvalidInput, naming the choices, if none is."""
    try:
        return EXPORTS[name]
    except KeyError:
        choices = ", ".join(EXPORTS)
        raise InvalidInput(
            f"There is no export {name[:40]!r}. Choose one of: {choices}."
        ) from None
