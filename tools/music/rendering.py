"""Rendering of MIDI to samples with fluidsynth and a soundfont."""

import subprocess
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLE_RATE = 44_100
SOUNDFONTS = {
    "FluidR3_GM": Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    "TimGM6mb": Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
    "MuseScore_General": Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"),
    "OPL3": Path("/usr/share/sounds/sf2/OPL-3_FM_128M.sf2"),
    "Csound_GM": Path("/usr/share/sounds/sf2/sf_GMbank.sf2"),
}

# fluidsynth starts notes one to two of its blocks of 64 samples late.
_LATE_SAMPLES = 96

Wave = NDArray[np.float32]


def play(file: mido.MidiFile, soundfont: str, folder: Path, is_wet: bool) -> Wave:
    """Render a MIDI file as float32 (2, samples) at 44.1 kHz, wet or dry.

    `folder` holds temporary files. Raises RuntimeError if fluidsynth fails.
    """
    source, wave = folder / "piece.mid", folder / "piece.wav"
    file.save(source)
    wet = "1" if is_wet else "0"
    command = ["fluidsynth", "-ni", "-q", "-R", wet, "-C", wet, "-g", "0.35"]
    command += ["-r", str(SAMPLE_RATE), "-o", "synth.dynamic-sample-loading=1"]
    command += ["-O", "float", "-T", "wav", "-F", str(wave)]
    command += [str(SOUNDFONTS[soundfont]), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0 or not wave.exists():
        raise RuntimeError(f"fluidsynth failed: {run.stderr.strip()}")
    samples, rate = soundfile.read(wave, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise RuntimeError(
            f"fluidsynth must render at {SAMPLE_RATE} Hz, got {rate} Hz."
        )
    return np.ascontiguousarray(samples.T[:, _LATE_SAMPLES:])


def version() -> str:
    """Return fluidsynth's version, which affects the samples."""
    run = subprocess.run(
        ["fluidsynth", "--version"], capture_output=True, text=True, check=False
    )
    return run.stdout.strip().splitlines()[-1] if run.stdout.strip() else "unknown"
