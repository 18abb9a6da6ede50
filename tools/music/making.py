"""The making of a piece from its line: MIDI and annotations, then audio."""

import hashlib
import io
import json
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile

from tools.music import arranging, composing, grooves, mastering, playing, rendering
from tools.music.catalogue import Piece
from tools.music.playing import Hand
from tools.music.rendering import SAMPLE_RATE, Wave
from tools.music.styles import STYLES
from tools.music.timing import TempoMap, tempo_map
from tools.music.values import Composition, Key

STEMS = ("drums", "bass", "other", "vocals")
Truth = Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """A piece as MIDI, and its annotations."""

    midi: mido.MidiFile
    truth: Truth

    @property
    def sha256(self) -> str:
        """The SHA-256 of both, identical on every machine."""
        file = io.BytesIO()
        self.midi.save(file=file)
        truth = json.dumps(self.truth, sort_keys=True).encode()
        return hashlib.sha256(file.getvalue() + truth).hexdigest()


def generator(piece: Piece, purpose: str) -> np.random.Generator:
    """Return an independent random generator for one purpose in a piece."""
    return np.random.default_rng([piece.seed, zlib.crc32(purpose.encode())])


def family(piece: Piece) -> str:
    """Return the family of a piece's style."""
    if piece.source == "mma":
        return grooves.STYLES[piece.style].family
    return STYLES[piece.style].family


def write(piece: Piece) -> Written:
    """Compose or arrange a piece, and play it as MIDI."""
    composition = _composition(piece)
    tempo, steady = tempo_map(
        generator(piece, "tempo"),
        piece.tempo,
        piece.bpm,
        composition.beats,
        composition.beats_per_bar,
        piece.silence,
    )
    rng = generator(piece, "hands")
    low, high = (0.0, 6.0)
    if piece.source == "composed":
        low, high = STYLES[piece.style].jitter_ms
    hand = Hand(float(rng.uniform(low, high)), float(rng.choice([0.0, 2.0, 5.0])))
    midi = playing.midi(rng, composition, tempo, hand, piece.cents)
    return Written(midi, _truth(piece, composition, tempo, steady))


def _composition(piece: Piece) -> Composition:
    rng = generator(piece, "notes")
    key = Key(piece.tonic, piece.mode)
    if piece.source == "mma":
        return arranging.arrange(
            rng, grooves.STYLES[piece.style], piece.bpm, piece.seconds, key, piece.moves
        )
    return composing.compose(
        rng,
        STYLES[piece.style],
        piece.bpm,
        piece.seconds,
        key,
        piece.moves,
        piece.pickup,
    )


def _truth(
    piece: Piece,
    composition: Composition,
    tempo: TempoMap,
    steady: list[tuple[int, float]],
) -> Truth:
    count, per_bar = composition.beats, composition.beats_per_bar
    beats = tempo.seconds(np.arange(count))
    downbeats = tempo.seconds(np.arange(composition.pickup_beats, count, per_bar))
    keys = _keys(composition, tempo)
    lengths: dict[str, float] = {}
    for part in keys:
        held = part["end"] - part["start"]
        lengths[part["key"]] = lengths.get(part["key"], 0.0) + held
    is_constant = piece.tempo == "constant"
    drums = [track for track in composition.tracks if track.stem == "drums"]
    return {
        "name": piece.name,
        "part": piece.part,
        "source": piece.source,
        "style": piece.style,
        "family": family(piece),
        "bpm": piece.bpm if is_constant else None,
        "main_bpm": _main_bpm(steady, piece.bpm, count, tempo),
        "is_constant": is_constant,
        "tempo": piece.tempo,
        "beats": [round(float(at), 4) for at in beats],
        "downbeats": [round(float(at), 4) for at in downbeats],
        "meter": per_bar,
        "key": max(lengths, key=lambda name: lengths[name]),
        "mode": piece.mode,
        "keys": keys,
        "has_drums": bool(drums),
        "tuning_cents": piece.cents,
        "soundfont": piece.soundfont,
        "mastering": piece.mastering,
        "traits": list(composition.traits),
    }


def _main_bpm(
    steady: list[tuple[int, float]], bpm: float, count: int, tempo: TempoMap
) -> float:
    """Return the tempo that lasts longest, or the middle of a drifting tempo."""
    if not steady:
        return bpm
    ends = [beat for beat, _ in steady[1:]] + [count]
    lasting: dict[float, float] = {}
    for (beat, value), end in zip(steady, ends, strict=True):
        seconds = float(tempo.seconds(end) - tempo.seconds(beat))
        lasting[value] = lasting.get(value, 0.0) + seconds
    longest = max(lasting, key=lambda value: lasting[value])
    return round(float(longest), 4)


def _keys(composition: Composition, tempo: TempoMap) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    first = composition.pickup_beats
    for index, bar in enumerate(composition.bars):
        begin = float(tempo.seconds(first + index * composition.beats_per_bar))
        end = float(tempo.seconds(first + (index + 1) * composition.beats_per_bar))
        if found and found[-1]["key"] == bar.key.name:
            found[-1]["end"] = round(end, 4)
        else:
            found.append(
                {"start": round(begin, 4), "end": round(end, 4), "key": bar.key.name}
            )
    return found


def render(piece: Piece, written: Written, folder: Path, with_stems: bool) -> None:
    """Write a piece as NAME.flac and NAME.json, and its stems as NAME.STEM.flac.

    The JSON file is written last, so its presence marks a complete piece.
    """
    is_wet = "wet" in mastering.names(piece.mastering)
    folder.mkdir(parents=True, exist_ok=True)
    stems: dict[str, Wave] = {}
    with tempfile.TemporaryDirectory() as place:
        if with_stems:
            for stem in STEMS:
                file = playing.only(written.midi, stem)
                stems[stem] = rendering.play(file, piece.soundfont, Path(place), is_wet)
            length = max(wave.shape[1] for wave in stems.values())
            stems = {name: _lengthened(wave, length) for name, wave in stems.items()}
            mix = np.asarray(np.sum(list(stems.values()), axis=0), np.float32)
        else:
            mix = rendering.play(written.midi, piece.soundfont, Path(place), is_wet)
    gain = 0.7 / max(float(np.abs(mix).max()), 1e-9)
    for stem, wave in stems.items():
        _save(wave * gain, folder / f"{piece.name}.{stem}.flac")
    mastered = mastering.master(mix, piece.mastering, generator(piece, "mastering"))
    _save(mastered, folder / f"{piece.name}.flac")
    truth = {
        **written.truth,
        "seconds": round(mastered.shape[1] / SAMPLE_RATE, 4),
        "has_stems": with_stems,
        "sha256": written.sha256,
    }
    (folder / f"{piece.name}.json").write_text(json.dumps(truth) + "\n")


def _lengthened(wave: Wave, samples: int) -> Wave:
    return np.pad(wave, ((0, 0), (0, samples - wave.shape[1])))


def _save(wave: Wave, path: Path) -> None:
    """Write a file atomically."""
    unfinished = path.with_name(f".{path.name}")
    soundfile.write(unfinished, np.clip(wave, -1, 1).T, SAMPLE_RATE, format="FLAC")
    unfinished.replace(path)
