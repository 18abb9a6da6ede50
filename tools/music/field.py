"""Real MIDI files from Debian packages: `field` for scoring, `real` for training.

`field` has the games of openttd-openmsx, planetblupi-music-midi and freedoom. `real` is
listed in `real.csv`: simutrans-data, freedink-data, liquidwar-data, kobodeluxe-data,
and the longer examples of mma, pianobooster and timidity. This repository contains none
of these files.

Annotations come from the files: beats from the tempo map and the time signature. The
key of `field` is the key signature's if the notes agree, else the notes'. The key of
`real` is the notes' alone, as a signature of C often means that none was written.
Unknown values are null: the beats of a file recorded without regard to its bars, and
the key of notes that fit two keys equally well.
"""

import csv
import gzip
import hashlib
import io
import json
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from serve_app.analysis import scores
from tools.key_training import profiles
from tools.music import rendering
from tools.music.rendering import SAMPLE_RATE
from tools.music.values import DRUM_CHANNEL, NAMES

PARTS = ("field", "real")
LIST = Path(__file__).with_name("real.csv")
SOUNDFONT = "MuseScore_General"
_FOLDERS = {
    "openttd": Path("/usr/share/games/openttd/baseset/openmsx"),
    "planetblupi": Path("/usr/share/planetblupi/music"),
}
_REAL_FOLDERS = {
    "simutrans": Path("/usr/share/games/simutrans/music"),
    "freedink": Path("/usr/share/games/dink/dink/Sound"),
    "liquidwar": Path("/usr/share/games/liquidwar/music"),
    "kobodeluxe": Path("/usr/share/kobo-deluxe/sfx"),
    "mma": Path("/usr/share/doc/mma/examples"),
    "pianobooster": Path("/usr/share/doc/pianobooster/courses/BoosterMusic"),
    "timidity": Path("/usr/share/doc/timidity/examples"),
}
_GAMES = [Path("/usr/share/games/doom") / f"freedoom{n}.wad" for n in (1, 2)]
# WAD file format: magic, number of lumps, directory offset; then offset, size, name.
_HEADER = struct.Struct("<4sii")
_ENTRY = struct.Struct("<ii8s")
_SHORTEST_SECONDS, _LONGEST_SECONDS = 30.0, 90.0
# The bars are meaningful if this share of notes is near sixteenths or triplets.
_ON_GRID = 0.8
# The least lead of the best key's correlation over the second best's.
_KEY_LEAD = 0.03
# The seconds whose notes determine the key at a time, and the cost of a key change.
_KEY_SECONDS, _KEY_CHANGE = 16, 40.0
# The least share of the profiles' votes for a piece's main key.
_KEY_VOTES = 0.5
# A key signature whose mode is neither 0 nor 1: accidentals, then mode.
_BAD_SIGNATURE = re.compile(
    rb"(\xff\x59\x02[\x00-\x07\xf9-\xff])[^\x00\x01]", re.DOTALL
)
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Played:
    """A file's notes with times in seconds, its tempo map and signatures in ticks."""

    ticks_per_beat: int
    notes: NDArray[np.float64]  # tick, second, seconds held, pitch, is drum
    tempi: tuple[tuple[int, float, float], ...]  # tick, second, bpm of quarters
    meters: tuple[tuple[int, int, int], ...]  # tick, numerator, denominator
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A line of the list of `real`: a file of a package and a soundfont to play it.

    `half` is "learn" or "choose"; all lines of a file have the same.
    """

    name: str
    half: str
    soundfont: str
    file: str
    sha256: str


def rows() -> list[Row]:
    """Read the list of `real`."""
    with LIST.open(newline="") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def open_real(row: Row) -> mido.MidiFile:
    """Read a file of the list.

    Raises ValueError if its hash differs from the list's.
    """
    package, _, path = row.file.partition("/")
    data = (_REAL_FOLDERS[package] / path).read_bytes()
    if (sha256 := hashlib.sha256(data).hexdigest()) != row.sha256:
        raise ValueError(
            f"{row.file} must have the SHA-256 {row.sha256}, got {sha256}. "
            "Install the version of its package that the list was made from."
        )
    if path.endswith(".gz"):
        data = gzip.decompress(data)
    return mido.MidiFile(file=io.BytesIO(_BAD_SIGNATURE.sub(_as_major, data)))


def _as_major(signature: re.Match[bytes]) -> bytes:
    return signature[1] + b"\0"


def files() -> Iterator[tuple[str, mido.MidiFile]]:
    """Yield the names and files of `field` in all installed packages."""
    for game, folder in _FOLDERS.items():
        for path in sorted(folder.glob("*.mid")):
            yield f"{game}_{path.stem}", mido.MidiFile(path)
    seen: set[bytes] = set()
    for wad in _GAMES:
        for name, data in _lumps(wad):
            if data not in seen:
                seen.add(data)
                yield f"{wad.stem}_{name}", mido.MidiFile(file=io.BytesIO(data))


def _lumps(game: Path) -> Iterator[tuple[str, bytes]]:
    if not game.exists():
        return
    data = game.read_bytes()
    _, count, listed = _HEADER.unpack_from(data)
    for index in range(count):
        place = listed + index * _ENTRY.size
        offset, size, name = _ENTRY.unpack_from(data, place)
        if data.startswith(b"MThd", offset):
            label = name.rstrip(b"\0").decode("ascii").lower()
            yield label, data[offset : offset + size]


def read(file: mido.MidiFile) -> Played:
    """Read the first 90 s of a file."""
    tick, second, tempo = 0, 0.0, 500_000
    tempi = [(0, 0.0, 120.0)]
    meters: list[tuple[int, int, int]] = []
    signatures: list[str] = []
    held: dict[tuple[int, int], tuple[int, float]] = {}
    notes: list[tuple[float, float, float, float, float]] = []
    for message in mido.merge_tracks(file.tracks):
        tick += message.time
        second += mido.tick2second(message.time, file.ticks_per_beat, tempo)
        if second > _LONGEST_SECONDS:
            break
        if message.type == "set_tempo":
            tempo = message.tempo
            tempi.append((tick, second, mido.tempo2bpm(tempo)))
        elif message.type == "time_signature":
            meters.append((tick, message.numerator, message.denominator))
        elif message.type == "key_signature":
            signatures.append(message.key)
        elif message.type in ("note_on", "note_off"):
            place = (message.channel, message.note)
            if place in held:
                begun, since = held.pop(place)
                is_drum = float(message.channel == DRUM_CHANNEL)
                row = (begun, since, second - since, message.note, is_drum)
                notes.append(row)
            if message.type == "note_on" and message.velocity > 0:
                held[place] = (tick, second)
    ordered = np.array(sorted(notes) or np.zeros((0, 5)), np.float64)
    return Played(
        file.ticks_per_beat,
        ordered,
        tuple(tempi),
        tuple(meters) or ((0, 4, 4),),
        tuple(signatures),
    )


def truth(
    name: str, played: Played, part: str = "field", soundfont: str = SOUNDFONT
) -> dict[str, Any]:
    """Return a file's annotations, in the form of the other pieces'."""
    beats, downbeats = _beats(played)
    bpm, share = _tempo(played)
    is_on_grid = bool(_on_grid(played) >= _ON_GRID)
    is_constant = is_on_grid and bool(share > 0.97)
    piece = {
        "name": name,
        "part": part,
        "source": part,
        "style": name.split("_")[0],
        "family": name.split("_")[0],
        "bpm": bpm if is_constant else None,
        "main_bpm": bpm,
        "is_constant": is_constant,
        "tempo": "constant" if is_constant else "other",
        "beats": beats if is_on_grid else None,
        "downbeats": downbeats if is_on_grid else None,
        "meter": _unit(played.meters[-1])[0],
        "has_drums": bool(played.notes[:, 4].any()),
        "tuning_cents": 0,
        "soundfont": soundfont,
        "on_grid": round(_on_grid(played), 3),
    }
    return piece | (_keys_by_notes(played) if part == "real" else _keys(played))


def _unit(meter: tuple[int, int, int]) -> tuple[int, float]:
    """Return the felt beats in a bar, and the quarters in a beat."""
    _, numerator, denominator = meter
    if denominator >= 8 and numerator % 3 == 0 and numerator > 3:
        return numerator // 3, 3 * 4 / denominator
    if numerator == 6 and denominator == 4:
        return 6, 1.0
    return numerator, 4 / denominator


def _beats(played: Played) -> tuple[list[float], list[float]]:
    """Return beats and downbeats from the first note to the last one, in seconds."""
    first, last = played.notes[0, 0], played.notes[-1, 0]
    beats: list[float] = []
    downbeats: list[float] = []
    ends = [tick for tick, *_ in played.meters[1:]] + [int(last) + 1]
    for meter, end in zip(played.meters, ends, strict=True):
        count, unit = _unit(meter)
        step = unit * played.ticks_per_beat
        for place in range(int(np.ceil((end - meter[0]) / step))):
            tick = meter[0] + place * step
            if first - step / 8 <= tick <= last:
                second = round(_second(played, tick), 4)
                beats.append(second)
                if place % count == 0:
                    downbeats.append(second)
    return beats, downbeats


def _second(played: Played, tick: float) -> float:
    since = [tempo for tempo in played.tempi if tempo[0] <= tick][-1]
    return since[1] + (tick - since[0]) / played.ticks_per_beat * 60 / since[2]


def _tempo(played: Played) -> tuple[float, float]:
    """Return the felt tempo that lasts longest, and its share of the piece."""
    first, last = played.notes[0, 1], played.notes[-1, 1]
    ends = [second for _, second, _ in played.tempi[1:]] + [last]
    lasting: dict[float, float] = {}
    for (_, begin, bpm), end in zip(played.tempi, ends, strict=True):
        held = max(min(end, last) - max(begin, first), 0.0)
        lasting[round(bpm, 3)] = lasting.get(round(bpm, 3), 0.0) + held
    best = max(lasting, key=lambda bpm: lasting[bpm])
    near = sum(held for bpm, held in lasting.items() if abs(bpm / best - 1) < 0.005)
    return round(best / _unit(played.meters[-1])[1], 3), near / (last - first)


def _on_grid(played: Played) -> float:
    """Return the share of notes within 1/24 beat of sixteenths or triplets."""
    at = played.notes[:, 0] / played.ticks_per_beat
    near = [np.abs(at * n - np.rint(at * n)) / n < 1 / 24 for n in (4, 3)]
    # Random notes are near one of the two grids half of the time.
    shares = [float(each.mean()) for each in near]
    return max(*shares, float((near[0] | near[1]).mean()) - 0.1)


def _key(played: Played) -> tuple[str | None, str]:
    """Return the key and its source: the signature, the notes, or why it is None."""
    weights = np.zeros(12)
    for _, _, held, pitch, is_drum in played.notes:
        if not is_drum:
            weights[int(pitch) % 12] += min(held, 2.0)
    if not weights.any():
        return None, "no notes"
    fits = {
        f"{NAMES[tonic]} {mode}": float(
            np.corrcoef(weights, np.roll(profile, tonic))[0, 1]
        )
        for tonic in range(12)
        for mode, profile in (("major", _MAJOR), ("minor", _MINOR))
    }
    best, second = sorted(fits, key=lambda name: -fits[name])[:2]
    written = {_spelt(signature) for signature in played.signatures} - {"C major"}
    if len(written) == 1 and fits[next(iter(written))] > fits[best] - 0.1:
        return next(iter(written)), "signature"
    if fits[best] - fits[second] < _KEY_LEAD:
        return None, f"notes fit {best} and {second}"
    return best, "notes"


def _keys(played: Played) -> dict[str, Any]:
    """Return one key for the whole file, from `_key`."""
    key, found = _key(played)
    end = float((played.notes[:, 1] + played.notes[:, 2]).max())
    spans = [{"start": 0.0, "end": round(end, 3), "key": key}] if key else []
    return {"key": key, "key_found": found, "keys": spans}


def _keys_by_notes(played: Played) -> dict[str, Any]:
    """Return the keys over time, estimated from the notes by published profiles.

    `key` is the key that lasts longest, or None if it has less than half of the votes
    over the whole piece. `pitch_classes` (seconds, 12) are their sounding times.
    """
    sounding = pitch_classes(played)
    if not sounding.any():
        return {"key": None, "key_found": "no notes", "keys": [], "pitch_classes": []}
    path = keys_of(sounding)
    longest = int(np.bincount(path).argmax())
    share = float(profiles.votes(sounding.sum(axis=0))[longest])
    changes = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    return {
        "key": _named(longest) if share >= _KEY_VOTES else None,
        "key_found": f"notes: {share:.2f} of the votes for {_named(longest)}",
        "keys": [
            {"start": float(start), "end": float(end), "key": _named(int(path[start]))}
            for start, end in pairwise(changes)
        ],
        "pitch_classes": np.round(sounding, 2).tolist(),
    }


def keys_of(sounding: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the key of each second of pitch classes (seconds, 12): minor from 12."""
    around = uniform_filter1d(sounding, _KEY_SECONDS, axis=0, mode="constant")
    return _path(np.array([profiles.votes(classes) for classes in around]))


def pitch_classes(played: Played) -> NDArray[np.float64]:
    """Return how long each pitch class sounds in each second, (seconds, 12).

    Held notes fade, so each counts for at most two seconds.
    """
    ends = played.notes[:, 1] + np.minimum(played.notes[:, 2], 2.0)
    sounding = np.zeros((int(np.ceil(ends.max())), 12))
    for (_, start, _, pitch, is_drum), end in zip(played.notes, ends, strict=True):
        for second in () if is_drum else range(int(start), int(np.ceil(end))):
            share = min(end, second + 1) - max(start, second)
            sounding[second, int(pitch) % 12] += share
    return sounding


def _path(votes: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the most likely key of each second (Viterbi)."""
    likely = np.log(votes + 0.01)
    score = likely[0]
    came_from = []
    for now in likely[1:]:
        best = int(score.argmax())
        stays = score >= score[best] - _KEY_CHANGE
        came_from.append(np.where(stays, np.arange(24), best))
        score = np.maximum(score, score[best] - _KEY_CHANGE) + now
    path = [int(score.argmax())]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _named(key: int) -> str:
    return f"{NAMES[key % 12]} {'minor' if key >= 12 else 'major'}"


def _spelt(signature: str) -> str:
    tonic, is_minor = scores.key_of(signature)
    return f"{NAMES[tonic]} {'minor' if is_minor else 'major'}"


def render(part: str, out: Path, only: Sequence[str]) -> None:
    """Write the pieces of a part as NAME.flac and NAME.json."""
    out.mkdir(parents=True, exist_ok=True)
    listed: Iterable[tuple[str, str, mido.MidiFile]]
    if part == "real":
        listed = ((row.name, row.soundfont, open_real(row)) for row in rows())
    else:
        listed = ((name, SOUNDFONT, file) for name, file in files())
    for name, soundfont, file in listed:
        if (only and name not in only) or (out / f"{name}.json").exists():
            continue
        played = read(file)
        if not len(played.notes) or played.notes[-1, 1] < _SHORTEST_SECONDS:
            continue
        piece = truth(name, played, part, soundfont)
        with tempfile.TemporaryDirectory() as place:
            wave = rendering.play(file, soundfont, Path(place), is_wet=True)
        wave = wave[:, : int(_LONGEST_SECONDS * SAMPLE_RATE)]
        wave *= 0.9 / max(float(np.abs(wave).max()), 1e-9)
        soundfile.write(out / f"{name}.flac", wave.T, SAMPLE_RATE, subtype="PCM_16")
        piece["seconds"] = round(wave.shape[1] / SAMPLE_RATE, 4)
        (out / f"{name}.json").write_text(json.dumps(piece) + "\n")
        print(f"{name} {piece['bpm']} {piece['key']} {piece['key_found']}", flush=True)
