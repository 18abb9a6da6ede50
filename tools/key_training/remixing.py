"""Remixes of MIDI files with other instruments, keys, volumes and fewer players."""

import random

import mido

from tools.music.values import DRUM_CHANNEL

_LONGEST_SECONDS = 60.0
_TICKS_PER_BEAT = 480
_TICKS_PER_SECOND = 2 * _TICKS_PER_BEAT  # At MIDI's default of 120 beats a minute.
_CHANNELS = range(16)
_VOLUME, _SUSTAIN, _ALL_NOTES_OFF = 7, 64, 123
# General MIDI has families of eight programs; those from 112 on are sound effects.
_FAMILY, _PROGRAMS = 8, 112


def remixed(file: mido.MidiFile, seed: int) -> mido.MidiFile:
    """Return a remix of up to 60 s of a file, drawn from a seed."""
    draw = random.Random(f"remix-{seed}")
    timed, now = [], 0.0
    for message in file:
        now += message.time
        if not message.is_meta and message.type != "sysex":
            timed.append((now, message))
    begin = draw.uniform(0, max(now - _LONGEST_SECONDS, 0.0))
    players = [_Player(draw, channel) for channel in _CHANNELS]
    semitones = draw.randint(-6, 6)
    track = mido.MidiTrack([player.loudness for player in players])
    last = 0
    for second, message in timed:
        is_note = message.type in ("note_on", "note_off")
        if second > begin + _LONGEST_SECONDS or (is_note and second < begin):
            continue
        played = players[message.channel].played(message, semitones)
        if played is not None:
            tick = round(max(second - begin, 0.0) * _TICKS_PER_SECOND)
            track.append(played.copy(time=tick - last))
            last = tick
    # Release sustained notes, which would otherwise never end.
    for control in (_SUSTAIN, _ALL_NOTES_OFF):
        end = {"control": control, "value": 0}
        for channel in _CHANNELS:
            track.append(mido.Message("control_change", channel=channel, **end))
    return mido.MidiFile(ticks_per_beat=_TICKS_PER_BEAT, tracks=[track])


class _Player:
    """The changes to one channel of the file."""

    def __init__(self, draw: random.Random, channel: int) -> None:
        self._is_drums = channel == DRUM_CHANNEL
        self._is_silent = draw.random() < (0.3 if self._is_drums else 0.1)
        self._kind = draw.choices(["same", "kin", "any"], [5, 3, 2])[0]
        self._program = draw.randrange(_PROGRAMS)
        self.loudness = mido.Message(
            "control_change",
            channel=channel,
            control=_VOLUME,
            value=draw.randint(60, 120),
        )

    def played(self, message: mido.Message, semitones: int) -> mido.Message | None:
        """Return the message to play instead of one from the file, or None."""
        if self._is_silent:
            return None
        if self._is_drums:
            return message
        if message.type in ("note_on", "note_off", "polytouch"):
            pitch = message.note + semitones
            return message.copy(note=pitch) if 0 <= pitch < 128 else None
        if message.type == "program_change":
            return message.copy(program=self._other(message.program))
        if message.type == "control_change" and message.control == _VOLUME:
            return None
        return message

    def _other(self, program: int) -> int:
        if self._kind == "any":
            return self._program
        if self._kind == "kin":
            return program // _FAMILY * _FAMILY + self._program % _FAMILY
        return program
