"""Read datasets: songs with annotations of their tempo, beats or key.

Supported are GiantSteps tempo and key, Ballroom, GTZAN (rhythm and keys), and the
pieces that `tools/music` renders. An annotation belongs to the audio file of the same
name, in whichever folder of the dataset each is.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from serve_app.analysis.scores import Truth, key_of, tempo_band
from serve_app.errors import InvalidInput

_AUDIO = (".mp3", ".wav", ".flac", ".au", ".ogg", ".m4a", ".opus", ".aiff", ".aif")
# Key numbers in A. Lerch's annotations of GTZAN: 12 major keys from A up, then minor.
_NAMES = ("A", "Bb", "B", "C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab")
_GTZAN = re.compile(r"gtzan_(?=[a-z]+_\d+$)")


@dataclass(frozen=True)
class Song:
    """An audio file and its annotations."""

    path: Path
    truth: Truth


def read(folder: Path) -> list[Song]:
    """Return the annotated songs of a dataset, ordered by name.

    Raises InvalidInput if there are none, or an annotation can't be read.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder.")
    audio: dict[str, Path] = {}
    truths: dict[str, Truth] = {}
    for path in sorted(_files(folder)):
        if path.suffix.lower() in _AUDIO:
            audio.setdefault(_name(path), path)
            continue
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            continue
        name = _name(path)
        try:
            truths[name] = reader(path, truths.get(name, Truth()))
        except (ValueError, KeyError, IndexError, TypeError) as err:
            raise InvalidInput(
                f"{path} can't be read as an annotation: {err}."
            ) from err
    songs = [
        Song(path, _grouped(truths[name], path, folder))
        for name, path in sorted(audio.items())
        if name in truths and _is_known(truths[name])
    ]
    if not songs:
        raise InvalidInput(
            f"{folder} has no songs with annotations. Supported layouts: GiantSteps, "
            "Ballroom, GTZAN and tools/music, with .bpm, .beats, .key, .lerch.txt or "
            ".json files in any folder."
        )
    return songs


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _name(path: Path) -> str:
    """Return the name that a song's files share, such as "blues.00001"."""
    name = path.name
    for ending in (".lerch.txt", path.suffix):
        if name.endswith(ending):
            name = name.removesuffix(ending)
            break
    # gtzan_blues_00001.beats belongs to blues.00001.wav.
    return _GTZAN.sub("", name).replace("_", ".") if _GTZAN.match(name) else name


def _is_known(truth: Truth) -> bool:
    return any(value is not None for value in (truth.bpm, truth.key, truth.beats))


def _grouped(truth: Truth, path: Path, folder: Path) -> Truth:
    """Add the groups of all datasets: the tempo band, and the folder's genre."""
    groups = dict(truth.groups)
    if truth.bpm is not None:
        groups.setdefault("tempo", tempo_band(truth.bpm))
    if path.parent != folder and path.parent.name not in ("audio", folder.name):
        groups.setdefault("genre", path.parent.name)
    return replace(truth, groups=groups)


def _bpm(path: Path, truth: Truth) -> Truth:
    """Read a tempo: the last number in the first line."""
    lines = [line for line in _lines(path) if not line.startswith("#")]
    bpm = float(lines[0].split()[-1]) if lines else 0.0
    # GiantSteps has 0 for songs without a beat.
    return replace(truth, bpm=bpm) if bpm > 0 else truth


def _beats(path: Path, truth: Truth) -> Truth:
    """Read beats: a time in seconds and, if given, the place in the bar: "9.43 3"."""
    rows = [line.split() for line in _lines(path) if not line.startswith("#")]
    beats = tuple(float(row[0]) for row in rows)
    places = [_place(row[1]) for row in rows if len(row) > 1]
    if len(places) < len(beats):
        return replace(truth, beats=beats)
    downbeats = tuple(
        beat for beat, place in zip(beats, places, strict=True) if place == 1
    )
    return replace(truth, beats=beats, downbeats=downbeats)


def _place(text: str) -> int:
    """Read a beat's place in its bar: "3", "3.0", or Ballroom's "9.3", 3 in bar 9."""
    first, _, second = text.partition(".")
    return int(second) if second.strip("0") else int(first)


def _key(path: Path, truth: Truth) -> Truth:
    """Read a key's name; an annotation of no key, or of several, is ignored."""
    text = path.read_text(errors="replace").strip()
    try:
        key_of(text)
    except ValueError:
        return truth
    return replace(truth, key=text)


def _lerch(path: Path, truth: Truth) -> Truth:
    if not path.name.endswith(".lerch.txt"):
        return truth
    number = int(path.read_text().split()[0])
    if not 0 <= number < 24:
        return truth
    mode = "minor" if number >= 12 else "major"
    return replace(truth, key=f"{_NAMES[number % 12]} {mode}")


def _piece(path: Path, truth: Truth) -> Truth:
    """Read the annotations of a piece from tools/music.

    All fields but `downbeats` are optional. JSON without that field is ignored.
    """
    fields = json.loads(path.read_text())
    if not isinstance(fields, dict) or "downbeats" not in fields:
        return truth
    return Truth(
        bpm=fields.get("bpm"),
        key=fields.get("key"),
        beats=_times(fields.get("beats")),
        downbeats=_times(fields["downbeats"]),
        groups=dict(_groups(fields)),
    )


def _groups(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the groups that a piece belongs to, as far as its fields name them."""
    bpm = fields.get("bpm")
    if (main_bpm := fields.get("main_bpm", bpm)) is not None:
        yield "tempo", tempo_band(main_bpm)
    if "family" in fields:
        yield "style", fields["family"]
    if "has_drums" in fields:
        yield "drums", "with drums" if fields["has_drums"] else "without drums"
    if "bpm" in fields:
        changes = fields.get("tempo", "not constant")
        yield "constancy", changes if bpm is None else "constant"
    if "soundfont" in fields:
        yield "soundfont", fields["soundfont"]
    if "meter" in fields:
        yield "meter", str(fields["meter"])


def _times(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


def _lines(path: Path) -> list[str]:
    text = path.read_text(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


_READERS: MappingProxyType[str, Callable[[Path, Truth], Truth]] = MappingProxyType(
    {".bpm": _bpm, ".beats": _beats, ".key": _key, ".txt": _lerch, ".json": _piece}
)
