"""The full analysis of a song in one pass, and the shorter analysis of a stem."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

import numpy as np

from serve_app.analysis import key, sections, wire
from serve_app.analysis.chroma import SEGMENT_SECONDS, Pitches, PitchListener
from serve_app.analysis.downmix import SAMPLE_RATE, Downmix, Samples
from serve_app.analysis.key import NO_KEY, Keys
from serve_app.analysis.levels import Levels, LevelsListener
from serve_app.analysis.loudness import Loudness, LoudnessListener
from serve_app.analysis.network import Engine, NetworkEngine
from serve_app.analysis.rhythm import Rhythm, RhythmListener
from serve_app.analysis.sections import Section
from serve_app.analysis.silence import Silence, SilenceListener
from serve_app.analysis.waveform import Waveform, WaveformListener
from serve_app.errors import Cancelled, InvalidInput

_WARM_UP_SECONDS = 4
# The peaks of a second of noise agree on a tuning by up to 0.27.
_IN_TUNE = 0.5
# With less sound than this, no key is reported.
_LEAST_SOUND_SECONDS = 1.0


class Listener(Protocol):
    """A consumer of a sound's blocks."""

    def add(self, block: Samples) -> None:
        """Take the next block of finite samples.

        Stereo, (2, n); files with more than two channels add their own below it.
        """


@dataclass(frozen=True)
class StemAnalysis:
    """The analysis of a stem: its loudness, levels and waveform."""

    loudness: Loudness
    levels: Levels
    waveform: Waveform
    duration_seconds: float
    sample_rate: int

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as JSON; the waveform has its own format."""
        return {
            "loudness": self.loudness.to_dict(),
            "levels": self.levels.to_dict(),
            "duration": round(self.duration_seconds, 6),
            "sample_rate": self.sample_rate,
        }


@dataclass(frozen=True)
class Analysis(StemAnalysis):
    """The analysis of a song.

    `rhythm.bpm` is a number even without a pulse (120), and there is a key even without
    pitch or for a short song; their confidence is then 0, and `reason` says why.
    """

    rhythm: Rhythm
    keys: Keys
    sections: tuple[Section, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as JSON, with numbers rounded."""
        both = (self.rhythm.reason, self.keys.reason)
        reasons = dict.fromkeys(reason for reason in both if reason)
        return {
            **wire.rhythm(self.rhythm),
            **wire.keys(self.keys),
            **({"reason": ", ".join(reasons)} if reasons else {}),
            "sections": [section.to_dict() for section in self.sections],
            **super().to_dict(),
        }


class StemListener:
    """Analyses a stem; `weights` are its channels' weights in the loudness."""

    def __init__(self, sample_rate: int, weights: Sequence[float] = (1.0, 1.0)) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._loudness = LoudnessListener(sample_rate, weights)
        self._levels = LevelsListener(sample_rate)
        self._waveform = WaveformListener(sample_rate)

    def add(self, block: Samples) -> None:
        """Take the next block: (2, n), or (2 + channels, n) above two channels."""
        stereo, channels = block[:2], block[2:]
        self._samples += block.shape[1]
        self._loudness.add(channels if len(channels) else stereo)
        self._levels.add(stereo)
        self._waveform.add(stereo)

    def result(self) -> StemAnalysis:
        """Return the analysis. Raises InvalidInput for a stem without samples."""
        return StemAnalysis(**self._fields())

    def _fields(self) -> Mapping[str, Any]:
        if not self._samples:
            raise InvalidInput("The song has no samples. Send a file with audio.")
        return {
            "loudness": self._loudness.result(),
            "levels": self._levels.result(),
            "waveform": self._waveform.end(),
            "duration_seconds": self._samples / self._sample_rate,
            "sample_rate": self._sample_rate,
        }


class SongListener(StemListener):
    """Analyses a whole song and keeps a few KB for each second.

    `make_engine` returns the engine that detects its beats.
    """

    def __init__(
        self,
        sample_rate: int,
        weights: Sequence[float] = (1.0, 1.0),
        make_engine: Callable[[], Engine] = NetworkEngine,
    ) -> None:
        super().__init__(sample_rate, weights)
        self._downmix = Downmix(sample_rate)
        self._silence = SilenceListener(sample_rate)
        self._rhythm = RhythmListener(make_engine)
        self._pitches = PitchListener()

    def add(self, block: Samples) -> None:
        """Take the next block: (2, n), or (2 + channels, n) above two channels."""
        super().add(block)
        self._silence.add(block[:2])
        self._add_mono(self._downmix.add(block[:2]))

    def finish(
        self,
        bpm_range: tuple[float, float] | None = None,
        cancelled: Event | None = None,
    ) -> Analysis:
        """Return the analysis; call it once, after the last block.

        Raises InvalidInput for a song without samples, and Cancelled soon after
        `cancelled` is set.
        """
        fields = self._fields()
        seconds = fields["duration_seconds"]
        silences = self._silence.result()
        self._add_mono(self._downmix.end())
        pitches = self._pitches.result()
        keys = _keys(pitches, fields["levels"], seconds, silences)
        _check(cancelled)
        rhythm = self._rhythm.result(bpm_range, silences)
        # A sustained chord has no onsets either, but it is in tune.
        is_noise = self._rhythm.is_noise and pitches.in_tune < _IN_TUNE
        if is_noise and keys.reason is None:
            keys = key.none(keys.tuning_hz)
        _check(cancelled)
        parts = sections.find(
            _sounds(pitches, fields["waveform"]),
            SEGMENT_SECONDS,
            rhythm.downbeats,
            _ends(seconds, silences),
        )
        return Analysis(**fields, rhythm=rhythm, keys=keys, sections=tuple(parts))

    def _add_mono(self, mono: Samples) -> None:
        self._rhythm.add(mono)
        self._pitches.add(mono)


def analyze(
    blocks: Iterable[Samples],
    sample_rate: int,
    weights: Sequence[float] = (1.0, 1.0),
    bpm_range: tuple[float, float] | None = None,
    cancelled: Event | None = None,
) -> Analysis:
    """Analyse a song that arrives in finite blocks; see `SongListener`."""
    listener = SongListener(sample_rate, weights)
    for block in blocks:
        _check(cancelled)
        listener.add(block)
    return listener.finish(bpm_range, cancelled)


def _sounds(pitches: Pitches, waveform: Waveform) -> Samples:
    """Return for each second the strengths of pitch classes and the bands' powers."""
    seconds = len(pitches.strengths)
    chroma = pitches.strengths.reshape(seconds, -1, 12).sum(axis=1)
    return np.hstack([chroma, waveform.powers(SEGMENT_SECONDS, seconds)])


def _keys(
    pitches: Pitches, levels: Levels, seconds: float, silences: Sequence[Silence]
) -> Keys:
    """Return the keys of a song with enough sound, else NO_KEY with a reason."""
    found = key.keys(pitches, seconds)
    sound = seconds - sum(silence.end - silence.start for silence in silences)
    if found.reason is None and sound >= _LEAST_SOUND_SECONDS:
        return found
    reason = "too short" if seconds < _LEAST_SOUND_SECONDS else "no pitch"
    # A constant offset or inaudibly low sound is not silent, but has no pitch.
    is_silent = levels.peak_dbfs is None
    return Keys(NO_KEY, None, (), found.tuning_hz, "silence" if is_silent else reason)


def _ends(seconds: float, silences: Sequence[Silence]) -> tuple[float, float]:
    """Return the start and the end of the sound, ignoring pauses."""
    start = next((each.end for each in silences if each.start == 0), 0.0)
    end = next((each.start for each in silences if each.end >= seconds), seconds)
    return (start, end) if start < end else (0.0, seconds)


def _check(cancelled: Event | None) -> None:
    if cancelled is not None and cancelled.is_set():
        raise Cancelled("The analysis was cancelled.")


def warm_up(make_engine: Callable[[], Engine] = NetworkEngine) -> None:
    """Run every step of an analysis once, so that the first song is not slow."""
    seconds = np.arange(_WARM_UP_SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    # A note struck twice a second exercises every step: pitch, onsets and beats.
    struck = np.sin(2 * np.pi * 440 * seconds) * np.exp(-8 * (seconds % 0.5))
    listener = SongListener(SAMPLE_RATE, make_engine=make_engine)
    listener.add(np.stack([struck, struck]).astype(np.float32))
    listener.finish()
