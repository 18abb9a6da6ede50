"""Songs as sound: through a soundfont, mastered, at 22,050 Hz."""

import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from tools.beat_training.composing import Song

SAMPLE_RATE = 22_050
# fluidsynth's samples of half a second: 960 ticks.
_TICKS_PER_SECOND = 1_920
SOUNDFONTS = ("FluidR3_GM.sf2", "TimGM6mb.sf2")


def midi(song: Song, rng: np.random.Generator) -> mido.MidiFile:
    """Write a song's notes by their seconds, with volumes and places of its players."""
    events: list[tuple[int, int, mido.Message]] = []
    for channel, program in song.programs.items():
        volume = 110 if channel == 9 else int(rng.integers(55, 115))
        for message in (
            mido.Message("program_change", channel=channel, program=program),
            mido.Message("control_change", channel=channel, control=7, value=volume),
            mido.Message(
                "control_change",
                channel=channel,
                control=10,
                value=int(rng.integers(30, 98)),
            ),
        ):
            events.append((0, 0, message))
    for note in song.notes:
        key = {"channel": note.channel, "note": note.pitch}
        on, off = (round(at * _TICKS_PER_SECOND) for at in (note.start, note.end))
        on = max(on, 4)
        events.append((on, 2, mido.Message("note_on", velocity=note.velocity, **key)))
        events.append((max(off, on + 1), 1, mido.Message("note_off", **key)))
    track, now = mido.MidiTrack(), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return mido.MidiFile(ticks_per_beat=960, tracks=[track])


def render(song: Song, seed: int) -> NDArray[np.float32]:
    """Render a song, mono, equalised, driven and with some noise, by its seed."""
    rng = np.random.default_rng([seed, 15])
    font = Path("/usr/share/sounds/sf2") / str(rng.choice(SOUNDFONTS))
    wet = str(rng.integers(2))
    with tempfile.TemporaryDirectory() as folder:
        source, wave = Path(folder) / "song.mid", Path(folder) / "song.wav"
        midi(song, rng).save(source)
        command = ["fluidsynth", "-ni", "-q", "-R", wet, "-C", wet, "-g", "0.4"]
        command += ["-r", str(SAMPLE_RATE), "-o", "synth.dynamic-sample-loading=1"]
        command += ["-O", "s16", "-T", "wav", "-F", str(wave), str(font), str(source)]
        subprocess.run(command, capture_output=True, check=True)
        samples, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    return mastered(samples.mean(axis=1), rng)


def mastered(
    samples: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Tilt the spectrum, drive it into a soft ceiling and add a little noise."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    tilt = np.clip(rng.uniform(-3, 3) * np.log2(np.maximum(hertz, 30) / 500), -12, 12)
    tilted = np.fft.irfft(spectrum * 10 ** (tilt / 20), len(samples))
    tilted /= np.abs(tilted).max() + 1e-9
    drive = float(rng.choice([0.3, 1.0, 2.0, 5.0]))
    driven = np.tanh(drive * tilted) / np.tanh(drive)
    noise = rng.standard_normal(len(samples)) * 10 ** (rng.uniform(-90, -45) / 20)
    return np.asarray(driven + noise, np.float32)
