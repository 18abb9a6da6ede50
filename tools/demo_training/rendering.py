"""Write notes as MIDI, and render MIDI with a soundfont."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import mido
import numpy as np
import soundfile

from tools.demo_training.midi import DRUM_CHANNEL, TICKS_PER_BEAT, written
from tools.demo_training.notes import Part, Song

SAMPLE_RATE = 44_100
MELODIC_CHANNELS = (*range(9), *range(10, 16))
# Half of fluidsynth's full scale: headroom for a loud kit. The files are float anyway.
GAIN = "0.5"

Events = list[tuple[int, mido.Message]]


def midi(song: Song, parts: Iterable[Part]) -> mido.MidiFile:
    """Write some parts of a song as a MIDI file of one track, at its tempo."""
    events: Events = []
    free = iter(MELODIC_CHANNELS)
    for part in parts:
        channel = DRUM_CHANNEL if part.stem == "drums" else next(free)
        events += _events(part, channel)
    return written(events, mido.bpm2tempo(song.bpm))


def _events(part: Part, channel: int) -> Events:
    setup = [
        mido.Message("program_change", channel=channel, program=part.program),
        mido.Message("control_change", channel=channel, control=7, value=part.volume),
        mido.Message("control_change", channel=channel, control=10, value=part.pan),
    ]
    events: Events = [(0, message) for message in setup]
    for note in part.notes:
        on = round(note.start_beats * TICKS_PER_BEAT)
        off = on + max(1, round(note.length_beats * TICKS_PER_BEAT))
        key = {"channel": channel, "note": note.pitch}
        events.append((on, mido.Message("note_on", velocity=note.velocity, **key)))
        events.append((off, mido.Message("note_off", **key)))
    return events


def play(file: mido.MidiFile, soundfont: Path, folder: Path) -> np.ndarray:
    """Render a MIDI file without effects, as float32 (2, samples) at 44.1 kHz.

    Temporary files are written to `folder`.
    """
    source, wave = folder / "part.mid", folder / "part.wav"
    file.save(source)
    command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", GAIN]
    command += ["-r", str(SAMPLE_RATE), "-o", "synth.dynamic-sample-loading=1"]
    command += ["-O", "float", "-T", "wav", "-F", str(wave)]
    run = subprocess.run(
        [*command, str(soundfont), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0 or not wave.exists():
        raise RuntimeError(f"fluidsynth failed: {run.stderr.strip()}")
    samples, rate = soundfile.read(wave, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"fluidsynth rendered at {rate} Hz, not {SAMPLE_RATE}")
    return np.ascontiguousarray(samples.T)
