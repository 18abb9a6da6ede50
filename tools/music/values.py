"""The values that pieces consist of. Times are in beats at the felt tempo."""

from dataclasses import dataclass, field

import mido

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "blues": (0, 2, 4, 5, 7, 9, 10),
    "minor blues": (0, 2, 3, 5, 7, 8, 10),
}
DRUM_CHANNEL = 9


@dataclass(frozen=True)
class Key:
    """A tonic as a pitch class (0 is C) and a mode."""

    tonic: int
    mode: str

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the scale, the tonic first."""
        return tuple((self.tonic + step) % 12 for step in MODES[self.mode])

    @property
    def is_minor(self) -> bool:
        """Whether the third above the tonic is minor."""
        return 3 in MODES[self.mode]

    @property
    def name(self) -> str:
        """The major or minor key, such as "Eb minor"; a mode's third decides."""
        return f"{NAMES[self.tonic]} {'minor' if self.is_minor else 'major'}"


@dataclass(frozen=True)
class Chord:
    """A root as a pitch class, and the intervals above it in semitones."""

    root: int
    intervals: tuple[int, ...]

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Pitch classes from the root up."""
        return tuple((self.root + interval) % 12 for interval in self.intervals)


@dataclass(frozen=True)
class Bar:
    """One bar: its key, its chords with their first beats, and its section."""

    key: Key
    chords: tuple[tuple[float, Chord], ...]
    section: str

    def chord_at(self, beat: float) -> Chord:
        """Return the chord at a beat of the bar."""
        return next(c for begin, c in reversed(self.chords) if begin <= beat + 1e-6)


@dataclass(frozen=True)
class Note:
    """A note that begins on a beat, with its length, MIDI pitch and velocity."""

    beat: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Track:
    """One player's track: stem, General MIDI program, notes, volume and pan.

    `changes` are other MIDI messages by beat; their channel is ignored.
    """

    stem: str
    program: int
    notes: tuple[Note, ...]
    volume: int = 100
    pan: int = 64
    changes: tuple[tuple[float, mido.Message], ...] = ()


@dataclass(frozen=True)
class Composition:
    """A piece in beats: its tracks, its bars and the number of beats in a bar.

    `pickup_beats` is the number of beats before the first downbeat.
    """

    tracks: tuple[Track, ...]
    bars: tuple[Bar, ...]
    beats_per_bar: int
    pickup_beats: int = 0
    traits: tuple[str, ...] = field(default=())

    @property
    def beats(self) -> int:
        """The number of all beats, including the pickup."""
        return self.pickup_beats + len(self.bars) * self.beats_per_bar
