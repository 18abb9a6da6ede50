"""Human timing, and MIDI files with one tick per millisecond."""

from dataclasses import dataclass

import mido
import numpy as np

from tools.music.timing import TempoMap
from tools.music.values import DRUM_CHANNEL, Composition, Note, Track

TICKS_PER_SECOND = 1000
MELODIC_CHANNELS = (*range(9), *range(10, 16))
_TAIL_SECONDS = 2.0


@dataclass(frozen=True)
class Hand:
    """Timing deviations of players in ms: a constant one each, and one per note."""

    jitter_ms: float
    bias_ms: float


def humanised(
    rng: np.random.Generator, track: Track, hand: Hand
) -> tuple[list[float], float]:
    """Return the delay of each note and that of the whole track, in seconds."""
    jitter = np.clip(rng.normal(0, 1, len(track.notes)), -2.5, 2.5) * hand.jitter_ms
    bias = float(rng.normal(0, 1)) * hand.bias_ms if track.stem != "drums" else 0.0
    return [float(ms) / 1000 for ms in jitter], float(np.clip(bias, -12, 12)) / 1000


def midi(
    rng: np.random.Generator,
    piece: Composition,
    tempo: TempoMap,
    hand: Hand,
    cents: float,
) -> mido.MidiFile:
    """Return a piece as a MIDI file with ticks of 1 ms, detuned by `cents`.

    Each track has its own channel, so that stems can be separated.
    """
    free = iter(MELODIC_CHANNELS)
    file = mido.MidiFile(ticks_per_beat=TICKS_PER_SECOND // 2)
    for track in piece.tracks:
        channel = DRUM_CHANNEL if track.stem == "drums" else next(free, 0)
        late, bias = humanised(rng, track, hand)
        events = _setup(track, channel, cents)
        for begin, message in track.changes:
            at = float(tempo.seconds(max(begin, 0.0)))
            events.append((at, 1, message.copy(channel=channel)))
        begins = tempo.seconds([note.beat for note in track.notes])
        ends = tempo.seconds([note.beat + note.length for note in track.notes])
        for note, shift, begin, end in zip(
            track.notes, late, begins, ends, strict=True
        ):
            on = max(float(begin) + shift + bias, 0.0)
            off = max(float(end) + bias, on + 0.01)
            events += _strokes(note, channel, on, off)
        file.tracks.append(_written(track.stem, events))
    return file


def _setup(
    track: Track, channel: int, cents: float
) -> list[tuple[float, int, mido.Message]]:
    messages = [
        mido.Message("program_change", channel=channel, program=track.program),
        _control(channel, 7, track.volume),
        _control(channel, 10, track.pan),
    ]
    if channel != DRUM_CHANNEL and cents:
        # Registered parameter 1: fine tuning, with 8192 steps per 100 cents.
        value = int(np.clip(round(8192 + cents * 81.92), 0, 16383))
        messages += [
            _control(channel, 101, 0),
            _control(channel, 100, 1),
            _control(channel, 6, value >> 7),
            _control(channel, 38, value & 127),
            _control(channel, 101, 127),
            _control(channel, 100, 127),
        ]
    return [(0.0, 0, message) for message in messages]


def _control(channel: int, control: int, value: int) -> mido.Message:
    return mido.Message(
        "control_change", channel=channel, control=control, value=int(value)
    )


def _strokes(
    note: Note, channel: int, on: float, off: float
) -> list[tuple[float, int, mido.Message]]:
    key = {"channel": channel, "note": int(np.clip(note.pitch, 0, 127))}
    velocity = int(np.clip(note.velocity, 1, 127))
    return [
        (on, 3, mido.Message("note_on", velocity=velocity, **key)),
        (off, 2, mido.Message("note_off", **key)),
    ]


def _written(
    stem: str, events: list[tuple[float, int, mido.Message]]
) -> mido.MidiTrack:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=stem)])
    now = 0
    ordered = sorted(
        ((round(at * TICKS_PER_SECOND), order, m) for at, order, m in events),
        key=lambda event: event[:2],
    )
    for tick, _, message in ordered:
        track.append(message.copy(time=tick - now))
        now = tick
    tail = round(_TAIL_SECONDS * TICKS_PER_SECOND)
    track.append(mido.MetaMessage("end_of_track", time=tail))
    return track


def only(file: mido.MidiFile, stem: str) -> mido.MidiFile:
    """Return the tracks of one stem, padded to the length of the whole."""
    longest = max(sum(m.time for m in track) for track in file.tracks)
    tracks = [track for track in file.tracks if track[0].name == stem]
    pad = mido.MidiTrack([mido.MetaMessage("end_of_track", time=longest)])
    return mido.MidiFile(ticks_per_beat=file.ticks_per_beat, tracks=[*tracks, pad])
