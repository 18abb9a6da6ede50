"""Rendering of compositions with a soundfont: detuned, equalised and saturated."""

import random
import subprocess
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from tools.demo_training.midi import DRUM_CHANNEL, TICKS_PER_BEAT, written
from tools.demo_training.rendering import MELODIC_CHANNELS
from tools.key_training.composing import Composition

Samples = NDArray[np.float32]
SAMPLE_RATE = 22_050
# The MIDI pitch wheel's default range is two semitones up and down.
_WHEEL_PER_CENT = 8_192 / 200


def midi(song: Composition) -> mido.MidiFile:
    """Return a song as a MIDI file, detuned by its cents."""
    events: list[tuple[int, mido.Message]] = []
    free = iter(MELODIC_CHANNELS)
    bend = round(song.cents * _WHEEL_PER_CENT)
    for track in song.tracks:
        channel = DRUM_CHANNEL if track.is_drums else next(free)
        on = {"channel": channel}
        setup = [
            mido.Message("program_change", program=track.program, **on),
            mido.Message("control_change", control=7, value=track.volume, **on),
            mido.Message("control_change", control=10, value=track.pan, **on),
            mido.Message("pitchwheel", pitch=bend, **on),
        ]
        events += [(0, message) for message in setup]
        for note in track.notes:
            start = round(note.start_beats * TICKS_PER_BEAT)
            end = start + max(1, round(note.length_beats * TICKS_PER_BEAT))
            key = {"note": note.pitch, **on}
            events.append(
                (start, mido.Message("note_on", velocity=note.velocity, **key))
            )
            events.append((end, mido.Message("note_off", **key)))
    return written(events, mido.bpm2tempo(song.bpm))


def play(song: mido.MidiFile, soundfont: Path, folder: Path, seed: int) -> Samples:
    """Return a song as mono samples at 22,050 Hz, with random mastering."""
    draw = random.Random(f"sound-{seed}")
    source, wave = folder / "song.mid", folder / "song.wav"
    song.save(source)
    reverb = draw.choice(["0", "1"])
    command = ["fluidsynth", "-ni", "-q", "-R", reverb, "-C", reverb, "-g", "0.4"]
    command += ["-r", str(SAMPLE_RATE), "-o", "synth.dynamic-sample-loading=1"]
    command += ["-O", "s16", "-T", "wav", "-F", str(wave)]
    subprocess.run(
        [*command, str(soundfont), str(source)], capture_output=True, check=True
    )
    samples, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    return mastered(samples.mean(axis=1), draw)


def mastered(samples: Samples, draw: random.Random) -> Samples:
    """Tilt the spectrum, saturate softly and add a little noise."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    tilt = draw.uniform(-4, 4)  # dB per octave around 500 Hz.
    octaves = np.log2(np.maximum(hertz, 30) / 500)
    spectrum *= 10 ** (np.clip(tilt * octaves, -18, 18) / 20)
    tilted = np.fft.irfft(spectrum, len(samples))
    tilted /= np.abs(tilted).max() + 1e-9
    drive = draw.choice([0.5, 1.0, 2.0, 5.0])
    driven = np.tanh(drive * tilted) / np.tanh(drive)
    noise = np.random.default_rng(draw.randrange(2**32)).standard_normal(len(samples))
    loud = driven + noise * 10 ** (draw.uniform(-90, -40) / 20)
    return np.asarray(loud, np.float32)
