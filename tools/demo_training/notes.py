"""The value types of composed songs."""

from dataclasses import dataclass
from typing import Literal

Instrument = Literal["drums", "bass", "other"]


@dataclass(frozen=True)
class Note:
    """A note: start and length in beats, MIDI pitch and velocity."""

    start_beats: float
    length_beats: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """The notes of one player, its GM program, MIDI volume and pan."""

    stem: Instrument
    program: int
    notes: tuple[Note, ...]
    volume: int
    pan: int


@dataclass(frozen=True)
class Song:
    """The parts of a song, and its vocal line."""

    bpm: float
    parts: tuple[Part, ...]
    sung: tuple[Note, ...]


@dataclass(frozen=True)
class Style:
    """Tempo range, feel, usual bass figures and metre of a kind of music."""

    name: str
    bpm: tuple[int, int]
    feel: Literal["straight", "swing"]
    bass: tuple[str, ...]
    beats_per_bar: int = 4


@dataclass(frozen=True)
class Harmony:
    """A key, its scale in semitones and the chord's degree in each bar."""

    key: int
    scale: tuple[int, ...]
    degrees: tuple[int, ...]
    chord_size: int

    def pitch(self, degree: int) -> int:
        """Return the MIDI pitch of a scale degree in the key's lowest octave."""
        octave, step = divmod(degree, len(self.scale))
        return self.key + 12 * octave + self.scale[step]

    def near(self, degree: int, lowest: int, above: int) -> int:
        """Return a degree's pitch in a suitable octave.

        The degree `above` steps below it is within an octave over `lowest`.
        """
        base = self.pitch(degree - above)
        return base + 12 * -((base - lowest) // 12) + self.pitch(degree) - base

    def chord(self, bar: int, lowest: int) -> list[int]:
        """Return thirds stacked on the bar's degree, each as low as `lowest` allows."""
        degrees = [self.degrees[bar] + 2 * step for step in range(self.chord_size)]
        return sorted(self.near(degree, lowest, 0) for degree in degrees)


@dataclass(frozen=True)
class Sheet:
    """The properties that all parts of a song share."""

    style: Style
    harmony: Harmony
    bars: int

    @property
    def beats(self) -> int:
        """Return the length of the song in beats."""
        return self.bars * self.style.beats_per_bar
