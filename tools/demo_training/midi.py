"""Split MIDI files by stem: General MIDI's drums, basses and the rest."""

from collections.abc import Iterable

import mido

from tools.demo_training.styles import BASS_PROGRAMS

DRUM_CHANNEL = 9
TICKS_PER_BEAT = 480


def stem_of(channel: int, program: int) -> str:
    """Return the name of the stem of a General MIDI note."""
    if channel == DRUM_CHANNEL:
        return "drums"
    return "bass" if program in BASS_PROGRAMS else "other"


def only(file: mido.MidiFile, stem: str) -> mido.MidiFile:
    """Keep the notes of one stem: the drum channel, GM's basses, or the rest."""
    track, programs, skipped = mido.MidiTrack(), [0] * 16, 0
    for message in mido.merge_tracks(file.tracks):
        if message.type == "program_change":
            programs[message.channel] = message.program
        # Every stem keeps all note ends: one without a start is harmless.
        begins = message.type == "note_on" and message.velocity > 0
        if begins and stem_of(message.channel, programs[message.channel]) != stem:
            skipped += message.time
            continue
        track.append(message.copy(time=message.time + skipped))
        skipped = 0
    return mido.MidiFile(ticks_per_beat=file.ticks_per_beat, tracks=[track])


def notes(file: mido.MidiFile, stem: str) -> int:
    """Count the notes of one stem."""
    return sum(
        message.type == "note_on" and message.velocity > 0
        for message in only(file, stem).tracks[0]
    )


def written(
    events: Iterable[tuple[int, mido.Message]], tempo: int | None = None
) -> mido.MidiFile:
    """Return messages with their ticks as one track; MIDI's default tempo if None."""
    track = mido.MidiTrack()
    if tempo is not None:
        track.append(mido.MetaMessage("set_tempo", tempo=tempo))
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=TICKS_PER_BEAT))
    return mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT, tracks=[track])
