"""Rendering of songs with a soundfont or by synthesis, mastered, at 22,050 Hz."""

import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from tools.beat_training.composing import Song

SAMPLE_RATE = 22_050
# 960 ticks a beat at MIDI's default of 120 beats a minute.
_TICKS_PER_SECOND = 1_920
SOUNDFONTS = ("FluidR3_GM.sf2", "TimGM6mb.sf2")


def midi(song: Song, rng: np.random.Generator) -> mido.MidiFile:
    """Return a song as MIDI with times in seconds and each player's volume and pan."""
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
    """Return a song rendered in mono, equalised, saturated and with some noise."""
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
    """Tilt the spectrum, saturate softly and add a little noise."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    tilt = np.clip(rng.uniform(-3, 3) * np.log2(np.maximum(hertz, 30) / 500), -12, 12)
    tilted = np.fft.irfft(spectrum * 10 ** (tilt / 20), len(samples))
    tilted /= np.abs(tilted).max() + 1e-9
    drive = float(rng.choice([0.3, 1.0, 2.0, 5.0]))
    driven = np.tanh(drive * tilted) / np.tanh(drive)
    noise = rng.standard_normal(len(samples)) * 10 ** (rng.uniform(-90, -45) / 20)
    return np.asarray(driven + noise, np.float32)


def synthesize(song: Song, seed: int) -> NDArray[np.float32]:
    """Return a song played by random oscillators and noise, like sound chips."""
    rng = np.random.default_rng([seed, 18])
    length = max(note.end for note in song.notes) + 1.5
    mono = np.zeros(int(length * SAMPLE_RATE), np.float64)
    voices = {channel: _voice(rng) for channel in song.programs}
    kit: dict[int, NDArray[np.float64]] = {}
    loud = {channel: float(rng.uniform(0.3, 1.0)) for channel in song.programs}
    for note in song.notes:
        if note.channel == 9:
            if note.pitch not in kit:
                own = np.random.default_rng([seed, 19, note.pitch])
                kit[note.pitch] = _drum(own, note.pitch)
            sound = kit[note.pitch]
        else:
            sound = _tone(voices[note.channel], note.pitch, note.end - note.start)
        level = loud[note.channel] * (note.velocity / 127) ** 1.5
        start = round(note.start * SAMPLE_RATE)
        room = mono[start : start + len(sound)]
        room += level * sound[: len(room)]
    if rng.random() < 0.4:  # An echo.
        late = int(rng.uniform(0.03, 0.25) * SAMPLE_RATE)
        mono[late:] += rng.uniform(0.1, 0.5) * mono[:-late].copy()
    return mastered(mono.astype(np.float32), rng)


Voice = tuple[NDArray[np.float64], float, float, float]


def _voice(rng: np.random.Generator) -> Voice:
    """Draw a voice's harmonics, attack, decay and vibrato."""
    harmonics = np.arange(1, 9)
    kind = rng.integers(4)
    if kind == 0:
        strengths = 1.0 / harmonics
    elif kind == 1:
        strengths = (harmonics % 2) / harmonics
    elif kind == 2:
        strengths = (
            np.abs(np.sin(np.pi * harmonics * rng.uniform(0.1, 0.5))) / harmonics
        )
    else:
        strengths = rng.random(8) / harmonics**2
    attack = float(rng.choice([0.001, 0.005, 0.01, 0.03, 0.08]))
    return (
        strengths,
        attack,
        float(np.exp(rng.uniform(-2.5, 1.0))),
        float(rng.choice([0.0, 0.0, 0.004])),
    )


def _tone(voice: Voice, pitch: int, seconds: float) -> NDArray[np.float64]:
    strengths, attack, decay, vibrato = voice
    time = np.arange(int((min(seconds, 4.0) + 0.05) * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    turns = hertz * time
    if vibrato:
        turns = turns + vibrato * hertz / 35 * np.sin(35 * time)
    kept = [n for n in range(1, 9) if n * hertz < SAMPLE_RATE / 2.2]
    sound = sum(strengths[n - 1] * np.sin(2 * np.pi * n * turns) for n in kept)
    edges = np.minimum(time / attack, (time[-1] - time) / 0.04)
    faded: NDArray[np.float64] = (
        sound * np.clip(edges, 0, 1) * np.exp(-time / decay) * 0.3
    )
    return faded


def _drum(rng: np.random.Generator, drum: int) -> NDArray[np.float64]:
    """Return the sound of a General MIDI drum: a falling tone, noise, or both."""
    is_low = drum in (35, 36, 41, 43, 45, 47, 48, 50, 64)
    is_snare = drum in (37, 38, 39, 40)
    decay = rng.uniform(0.04, 0.15) if is_low or is_snare else rng.uniform(0.01, 0.12)
    if drum in (46, 49, 51, 57):
        decay = rng.uniform(0.1, 0.5)
    time = np.arange(int(5 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = rng.uniform(45, 70) if drum in (35, 36) else rng.uniform(80, 250)
    fall = rng.uniform(1, 8) * (1 - np.exp(-25 * time))
    tone = np.sin(2 * np.pi * (hertz * time + fall))
    noise = rng.standard_normal(len(time))
    if not is_low and not is_snare:
        noise = np.diff(noise, prepend=0.0)
    share = 0.95 if is_low else 0.4 if is_snare else 0.0
    mixed = share * tone + (1 - share) * 0.5 * noise
    sound: NDArray[np.float64] = mixed * np.exp(-time / decay)
    return sound * rng.uniform(0.5, 1.2)
