"""The writer of each export format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from serve_app.stems.exports import cue_sheet, exact_length, mixxx, rekordbox, stem_mp4
from serve_app.stems.exports.track import Track


@dataclass(frozen=True)
class Song:
    """A song to export: its track, and the files of its mix and stems, if any.

    `stem_gain` is the gain of all stems, which prevents clipping.
    """

    track: Track
    mix: Path | None = None
    stems: Mapping[str, Path] = field(default_factory=dict)
    stem_gain: float = 1.0


def write(name: str, song: Song, target: Path) -> None:
    """Write a song to `target` in the export format `name`.

    Raises ValueError, with the reason, if this song can't be exported in it.
    """
    _WRITERS[name](song, target)


def _text(render: Callable[[Track], bytes]) -> Callable[[Song, Path], None]:
    def write(song: Song, target: Path) -> None:
        target.write_bytes(render(song.track))

    return write


def _stem_mp4(song: Song, target: Path, *, codec: str) -> None:
    if song.mix is None:
        raise ValueError("A stem.mp4 needs the file of the song, which is missing.")
    stem_mp4.write(
        song.track, song.mix, song.stems, target, codec=codec, mix_gain=song.stem_gain
    )


def _serato(song: Song, target: Path) -> None:
    exact_length.write_zip(song.track, song.stems, target)


_WRITERS: Mapping[str, Callable[[Song, Path], None]] = {
    "rekordbox": _text(rekordbox.render),
    "cue": _text(cue_sheet.render),
    "mixxx": _text(mixxx.render),
    "stem.mp4": partial(_stem_mp4, codec="aac"),
    "stem.mp4-alac": partial(_stem_mp4, codec="alac"),
    "serato": _serato,
}
