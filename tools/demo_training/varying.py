"""Vary a MIDI file: key, tempo, instruments, balance, doubled basses."""

from dataclasses import dataclass, field

import mido
import numpy as np

from tools.demo_training import styles
from tools.demo_training.midi import DRUM_CHANNEL, TICKS_PER_BEAT, stem_of, written

# MIDI's own tempo.
SECONDS_PER_BEAT = 0.5
VOLUME, BANK, BANK_FINE, ALL_SOUND_OFF = 7, 0, 32, 120
LOWEST, HIGHEST = 24, 108

Events = list[tuple[float, mido.Message]]


@dataclass
class Variation:
    """The random choices that apply to all notes of a song."""

    rng: np.random.Generator
    shift: int
    bass_shift: int
    keep_chance: float
    programs: dict[tuple[int, int], int] = field(default_factory=dict)

    def program(self, channel: int, program: int) -> int:
        """Return the program that replaces a program; a bass is replaced by a bass."""
        if channel == DRUM_CHANNEL:
            return program
        key = (channel, program)
        if key not in self.programs:
            bass = stem_of(channel, program) == "bass"
            choice = styles.BASS_PROGRAMS if bass else styles.EVERYTHING
            kept = self.rng.random() < self.keep_chance
            self.programs[key] = program if kept else int(self.rng.choice(choice))
        return self.programs[key]

    def pitch(self, channel: int, program: int, note: int) -> int:
        """Return the pitch that replaces a note."""
        stem = stem_of(channel, program)
        if stem == "drums":
            return note
        moved = note + self.shift + (self.bass_shift if stem == "bass" else 0)
        return moved if LOWEST <= moved <= HIGHEST else note


def vary(
    rng: np.random.Generator, file: mido.MidiFile, seconds: float
) -> mido.MidiFile:
    """Return `seconds` of a file, in another key, tempo, sound and balance."""
    variation = Variation(
        rng,
        shift=int(rng.integers(-5, 7)),
        bass_shift=int(rng.choice([0, 0, 0, 0, 12])),
        keep_chance=float(rng.choice([1.0, 0.5, 0.0])),
    )
    speed = float(rng.uniform(0.85, 1.2))
    events = _cut(_timed(file, speed), seconds, rng)
    events = _balanced(rng, _changed(variation, events))
    if rng.random() < 0.3:
        events += _doubled(rng, events)
    ticks_per_second = TICKS_PER_BEAT / SECONDS_PER_BEAT
    ordered = sorted(events, key=lambda event: event[0])
    return written((round(at * ticks_per_second), one) for at, one in ordered)


def _timed(file: mido.MidiFile, speed: float) -> Events:
    """Return the messages with their times in seconds."""
    now, events = 0.0, []
    for message in file:
        now += message.time / speed
        if not message.is_meta and message.type != "sysex":
            events.append((now, message))
    return events


def _cut(events: Events, seconds: float, rng: np.random.Generator) -> Events:
    """Return a random excerpt; earlier settings apply from its start."""
    length = events[-1][0] if events else 0.0
    start = float(rng.uniform(0, max(0.0, length - seconds)))
    taken = [
        (max(0.0, at - start), message)
        for at, message in events
        if at < start + seconds and (at >= start or message.type != "note_on")
    ]
    # fluidsynth renders for as long as a note is held.
    return taken + [(seconds, _control(each, ALL_SOUND_OFF, 0)) for each in range(16)]


def _changed(variation: Variation, events: Events) -> Events:
    """Replace pitches and programs; drop volumes and banks."""
    changed: Events = []
    programs = [0] * 16
    for at, message in events:
        if message.type == "program_change":
            programs[message.channel] = message.program
            new = variation.program(message.channel, message.program)
            changed.append((at, message.copy(program=new)))
        elif message.type in ("note_on", "note_off"):
            program = programs[message.channel]
            pitch = variation.pitch(message.channel, program, message.note)
            changed.append((at, message.copy(note=pitch)))
        elif not (
            message.type == "control_change"
            and message.control in (VOLUME, BANK, BANK_FINE)
        ):
            changed.append((at, message))
    return changed


def _balanced(rng: np.random.Generator, events: Events) -> Events:
    volumes: Events = [
        (0.0, _control(channel, VOLUME, int(rng.integers(60, 128))))
        for channel in range(16)
    ]
    return volumes + events


def _control(channel: int, control: int, value: int) -> mido.Message:
    return mido.Message("control_change", channel=channel, control=control, value=value)


def _doubled(rng: np.random.Generator, events: Events) -> Events:
    """Return the bass line again, on a low instrument that is not a bass."""
    used = {message.channel for _, message in events if message.type == "note_on"}
    free = sorted(set(range(16)) - used - {DRUM_CHANNEL})
    if not free:
        return []
    channel, octave = free[0], int(rng.choice([0, 0, 12]))
    program = int(rng.choice(styles.LOW))
    added: Events = [
        (0.0, mido.Message("program_change", channel=channel, program=program))
    ]
    programs = [0] * 16
    for at, message in events:
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif (
            message.type in ("note_on", "note_off")
            and stem_of(message.channel, programs[message.channel]) == "bass"
        ):
            note = min(message.note + octave, HIGHEST)
            added.append((at, message.copy(channel=channel, note=note)))
    return added
