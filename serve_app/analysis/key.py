"""The key of a song, and its names."""

from dataclasses import dataclass

import librosa
import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.excerpt import SAMPLE_RATE, Samples

Vector = NDArray[np.float64]

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

# How well each semitone over the tonic fits a key to listeners: the probe-tone ratings
# of Krumhansl and Kessler (1982), Psychological Review 89, as in Krumhansl (1990),
# Cognitive Foundations of Musical Pitch, table 2.1.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)

_HOP = 4_096
_LOWEST_HZ = float(librosa.note_to_hz("C2"))
_OCTAVES = 6
_BINS_PER_OCTAVE = 36
# The lowest filter is 0.8 s long: shorter music is padded to room for it.
_SHORTEST = 2 * SAMPLE_RATE
_PEAK_FFT = 4_096
# From a hundredth of the loudest up, loudness goes by the logarithm.
_COMPRESSION = 100.0
# The lead in correlation that makes a key two thirds sure; wrong keys lead by less.
_SURE_LEAD = 0.1


@dataclass(frozen=True)
class Key:
    """A key: a tonic, 0 for C to 11 for B, a mode, and how sure it is, 0 to 1.

    `confidence` grows with the lead over the next best key; it is no probability.
    """

    tonic: int
    is_minor: bool
    confidence: float

    @property
    def name(self) -> str:
        """The key in words, spelt with sharps: `C# minor`."""
        return f"{PITCH_CLASSES[self.tonic]} {'minor' if self.is_minor else 'major'}"

    @property
    def camelot(self) -> str:
        """The key on the Camelot wheel: C major is 8B, A minor 8A."""
        return f"{(self._fifths + 7) % 12 + 1}{'A' if self.is_minor else 'B'}"

    @property
    def open_key(self) -> str:
        """The key in Open Key notation: C major is 1d, A minor 1m."""
        return f"{self._fifths + 1}{'m' if self.is_minor else 'd'}"

    @property
    def _fifths(self) -> int:
        """Fifths from C up to the tonic of the major key with the same notes."""
        major = self.tonic + 3 if self.is_minor else self.tonic
        return major * 7 % 12


# Said of what has no pitch, so that there is always a name.
NO_KEY = Key(0, is_minor=False, confidence=0.0)


def find(mono: Samples) -> Key:
    """Return the key of mono samples at 22,050 Hz; NO_KEY where nothing has a pitch.

    The key is the one whose profile correlates best with how strong each of the
    twelve pitch classes is (Krumhansl and Schmuckler, in Krumhansl 1990, chapter 4).
    """
    padded = np.pad(mono, (0, max(_SHORTEST - len(mono), 0)))
    tuning = _tuning(padded)
    if tuning is None:
        return NO_KEY
    chroma = _chroma(padded, tuning)
    if not chroma.std() > 0:
        return NO_KEY
    fits = _profiles() @ _standardised(chroma) / len(chroma)
    second, best = np.argsort(fits)[-2:]
    lead = 1.0 - np.exp(-(fits[best] - fits[second]) / _SURE_LEAD)
    confidence = float(np.clip(fits[best] * lead, 0.0, 1.0))
    return Key(int(best) % 12, is_minor=bool(best >= 12), confidence=confidence)


def _tuning(mono: Samples) -> float | None:
    """Return the deviation from A = 440 Hz in semitones; None without pitch."""
    pitches, strengths = librosa.piptrack(
        y=mono, sr=SAMPLE_RATE, n_fft=_PEAK_FFT, hop_length=_PEAK_FFT
    )
    is_pitch = pitches > 0
    if not is_pitch.any():
        return None
    is_strong = is_pitch & (strengths >= np.median(strengths[is_pitch]))
    return float(librosa.pitch_tuning(pitches[is_strong]))


def _chroma(mono: Samples, tuning: float) -> Vector:
    """Return how strong each pitch class is in the harmonic part of the music."""
    spectrum = np.abs(
        librosa.cqt(
            mono,
            sr=SAMPLE_RATE,
            hop_length=_HOP,
            fmin=_LOWEST_HZ,
            n_bins=_OCTAVES * _BINS_PER_OCTAVE,
            bins_per_octave=_BINS_PER_OCTAVE,
            tuning=tuning * _BINS_PER_OCTAVE / 12,
        )
    )
    harmonic, _ = librosa.decompose.hpss(spectrum)
    loudest = max(float(harmonic.max()), float(np.finfo(np.float32).tiny))
    # Loudness, not power: one loud voice must not hide the chords.
    levels = np.log1p(_COMPRESSION * harmonic / loudest)
    chroma = librosa.feature.chroma_cqt(
        C=levels,
        fmin=_LOWEST_HZ,
        n_octaves=_OCTAVES,
        bins_per_octave=_BINS_PER_OCTAVE,
        norm=None,
    )
    strengths: Vector = chroma.mean(axis=1, dtype=np.float64)
    return strengths


def _profiles() -> Vector:
    """Return the 24 standardised profiles (key, pitch class), major keys first."""
    return np.array(
        [
            np.roll(_standardised(np.array(profile)), tonic)
            for profile in (_MAJOR, _MINOR)
            for tonic in range(12)
        ]
    )


def _standardised(vector: Vector) -> Vector:
    standardised: Vector = (vector - vector.mean()) / vector.std()
    return standardised
