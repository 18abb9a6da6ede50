"""A song for exports: its name, tags, beat grid, key and sections."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import PurePosixPath

from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.tags import Tags

_DEFAULT_METER = "4/4"
# Beats of two segments that are closer than this fraction of a beat are the same.
_SAME_BEAT = 0.25


@dataclass(frozen=True)
class Segment:
    """A stretch of constant tempo, to the next segment or the song's end.

    `start_seconds` is the time of a beat, `beat` its number in the bar, from 1, and
    `meter` has the form `4/4`.
    """

    start_seconds: float
    bpm: float
    meter: str = _DEFAULT_METER
    beat: int = 1

    @property
    def beats_per_bar(self) -> int:
        """The upper number of the meter."""
        return int(self.meter.split("/")[0])

    @property
    def beat_seconds(self) -> float:
        """The length of a beat."""
        return 60 / self.bpm

    def moved(self, beats: int) -> "Segment":
        """Return the same grid, anchored at another of its beats."""
        return replace(
            self,
            start_seconds=self.start_seconds + beats * self.beat_seconds,
            beat=(self.beat - 1 + beats) % self.beats_per_bar + 1,
        )


@dataclass(frozen=True)
class Section:
    """A section of a song, such as its chorus."""

    start_seconds: float
    name: str


@dataclass(frozen=True)
class Track:
    """A song and its analysis. Times are in seconds of stemserve's decoding.

    `location` is a URL, an absolute path (of Windows too) or a bare file name, by which
    the DJ program finds the file. `key` has the form `C# minor`, and is empty if there
    is none. `bpm` is 0 if there is no pulse.
    """

    location: str
    samples: int
    sample_rate: int
    bpm: float = 0.0
    key: str = ""
    camelot: str = ""
    open_key: str = ""
    beats: Sequence[float] = ()
    downbeats: Sequence[float] = ()
    segments: Sequence[Segment] = ()
    sections: Sequence[Section] = ()
    tags: Tags = field(default_factory=Tags)
    codec: CodecFacts = field(default_factory=CodecFacts)
    size_bytes: int = 0

    @property
    def duration_seconds(self) -> float:
        """The song's length."""
        return self.samples / self.sample_rate

    @property
    def file_name(self) -> str:
        """The last part of the location."""
        return self.location.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def title(self) -> str:
        """The title, or the file's name without its suffix."""
        return self.tags.title or PurePosixPath(self.file_name).stem

    @property
    def short_key(self) -> str:
        """The key in the form of ID3's TKEY: `C#m`, `Bb`, or empty."""
        tonic, _, mode = self.key.partition(" ")
        return tonic + ("m" if mode == "minor" else "")

    @property
    def tagged(self) -> Tags:
        """The original's tags with this title, tempo and key."""
        return replace(self.tags, title=self.title, bpm=self.bpm, key=self.short_key)

    def grid(self) -> list[Segment]:
        """Return the segments in order; empty without a pulse.

        A track without segments gets one from its tempo and its first downbeat.
        """
        segments = [segment for segment in self.segments if segment.bpm > 0]
        if segments:
            return sorted(segments, key=lambda segment: segment.start_seconds)
        anchor = next(iter([*self.downbeats, *self.beats]), None)
        if self.bpm <= 0 or anchor is None:
            return []
        return [Segment(anchor, self.bpm)]

    def stretches(self) -> list[tuple[Segment, float]]:
        """Return the segments of `grid`, each with the time at which it ends."""
        grid = self.grid()
        starts = [segment.start_seconds for segment in grid]
        ends = [*starts[1:], self.duration_seconds]
        return list(zip(grid, ends, strict=False))


def beat_times(track: Track) -> list[tuple[float, int]]:
    """Return each beat's time and its number in the bar, by the grid."""
    times: list[tuple[float, int]] = []
    for segment, end in track.stretches():
        # A beat at the start of the next segment belongs to that segment.
        beats_long = (end - segment.start_seconds) / segment.beat_seconds
        count = max(0, ceil(beats_long - _SAME_BEAT))
        beats = [segment.moved(beat) for beat in range(count)]
        times += [(beat.start_seconds, beat.beat) for beat in beats]
    return times
