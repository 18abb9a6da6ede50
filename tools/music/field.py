"""Real MIDI files of games in Debian, as they are: only scored on, never learnt from.

They come from the packages openttd-openmsx, planetblupi-music-midi and freedoom, and
are not in this repository. Their truth is read from the files: beats from the tempo map
and the time signature, the key from the key signature where the notes bear it out, and
else from the notes. What can't be known is null: the beats of a file that was recorded
without regard to its bars, and the key of notes that fit two as well.
"""

import io
import json
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from serve_app.analysis import scores
from tools.music import rendering
from tools.music.rendering import SAMPLE_RATE
from tools.music.values import DRUM_CHANNEL, NAMES

SOUNDFONT = "MuseScore_General"
_FOLDERS = {
    "openttd": Path("/usr/share/games/openttd/baseset/openmsx"),
    "planetblupi": Path("/usr/share/planetblupi/music"),
}
_GAMES = [Path("/usr/share/games/doom") / f"freedoom{n}.wad" for n in (1, 2)]
# A WAD file: magic, number of lumps, offset of their list; a lump's offset, size, name.
_HEADER = struct.Struct("<4sii")
_ENTRY = struct.Struct("<ii8s")
_SHORTEST_SECONDS, _LONGEST_SECONDS = 30.0, 90.0
# Of the notes this share lies near sixteenths or triplets if bars mean something.
_ON_GRID = 0.8
# By so much the correlation of the best key leads that of the second.
_KEY_LEAD = 0.03
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Played:
    """A file's notes with their seconds, and its tempo map and signatures in ticks."""

    ticks_per_beat: int
    notes: NDArray[np.float64]  # tick, second, seconds held, pitch, is drum
    tempi: tuple[tuple[int, float, float], ...]  # tick, second, bpm of quarters
    meters: tuple[tuple[int, int, int], ...]  # tick, numerator, denominator
    signatures: tuple[str, ...]


def files() -> Iterator[tuple[str, mido.MidiFile]]:
    """Yield names and files of all packages that are installed."""
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


def truth(name: str, played: Played) -> dict[str, Any]:
    """Return what is true of a file, in the form of the other pieces."""
    beats, downbeats = _beats(played)
    bpm, share = _tempo(played)
    is_on_grid = bool(_on_grid(played) >= _ON_GRID)
    is_constant = is_on_grid and bool(share > 0.97)
    key, found = _key(played)
    end = float((played.notes[:, 1] + played.notes[:, 2]).max())
    return {
        "name": name,
        "part": "field",
        "source": "field",
        "style": name.split("_")[0],
        "family": name.split("_")[0],
        "bpm": bpm if is_constant else None,
        "main_bpm": bpm,
        "is_constant": is_constant,
        "tempo": "constant" if is_constant else "other",
        "beats": beats if is_on_grid else None,
        "downbeats": downbeats if is_on_grid else None,
        "meter": _unit(played.meters[-1])[0],
        "key": key,
        "key_found": found,
        "keys": [{"start": 0.0, "end": round(end, 3), "key": key}] if key else [],
        "has_drums": bool(played.notes[:, 4].any()),
        "tuning_cents": 0,
        "soundfont": SOUNDFONT,
        "on_grid": round(_on_grid(played), 3),
    }


def _unit(meter: tuple[int, int, int]) -> tuple[int, float]:
    """Return a bar's beats, as a listener taps, and a beat in quarters."""
    _, numerator, denominator = meter
    if denominator >= 8 and numerator % 3 == 0 and numerator > 3:
        return numerator // 3, 3 * 4 / denominator
    if numerator == 6 and denominator == 4:
        return 6, 1.0
    return numerator, 4 / denominator


def _beats(played: Played) -> tuple[list[float], list[float]]:
    """Return beats and downbeats from the first note to the last, in seconds."""
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
    """Return the tempo that lasts longest, as tapped, and its share of the piece."""
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
    """Return the share of notes within a 24th of a beat of sixteenths or triplets."""
    at = played.notes[:, 0] / played.ticks_per_beat
    near = [np.abs(at * n - np.rint(at * n)) / n < 1 / 24 for n in (4, 3)]
    # By chance, straight or triplet places take up a half of the time.
    shares = [float(each.mean()) for each in near]
    return max(*shares, float((near[0] | near[1]).mean()) - 0.1)


def _key(played: Played) -> tuple[str | None, str]:
    """Return the key and how it was found: by the signature, the notes, or not."""
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


def _spelt(signature: str) -> str:
    tonic, is_minor = scores.key_of(signature)
    return f"{NAMES[tonic]} {'minor' if is_minor else 'major'}"


def render(out: Path, only: Sequence[str]) -> None:
    """Write the field pieces as NAME.flac and NAME.json."""
    out.mkdir(parents=True, exist_ok=True)
    for name, file in files():
        if (only and name not in only) or (out / f"{name}.json").exists():
            continue
        played = read(file)
        if not len(played.notes) or played.notes[-1, 1] < _SHORTEST_SECONDS:
            continue
        told = truth(name, played)
        with tempfile.TemporaryDirectory() as place:
            wave = rendering.play(file, SOUNDFONT, Path(place), is_wet=True)
        wave = wave[:, : int(_LONGEST_SECONDS * SAMPLE_RATE)]
        wave *= 0.9 / max(float(np.abs(wave).max()), 1e-9)
        soundfile.write(out / f"{name}.flac", wave.T, SAMPLE_RATE, subtype="PCM_16")
        told["seconds"] = round(wave.shape[1] / SAMPLE_RATE, 4)
        (out / f"{name}.json").write_text(json.dumps(told) + "\n")
        print(f"{name} {told['bpm']} {told['key']} {told['key_found']}", flush=True)
