"""A one-page report: waveform, bars, sections, keys and loudness in one picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.pictures import waveform
from serve_app.pictures.canvas import Canvas, canvas
from serve_app.pictures.waveform import Box, Values

SMALLEST = (640, 240)
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1_600, 600

_PAGE, _INK, _GREY = "#ffffff", "#1b1f27", "#5b6270"
_PANEL, _GRID = "#14171f", "#39404f"
_TRACK, _RULE = "#eef0f4", "#d5d9e0"
_DOWNBEAT, _BEAT = "#ff5c4d", "#aab2c2"
_LOUDNESS = "#6b7fa8"
_COLOURS = waveform.Colours(background=_PANEL)

# In the order of the circle of fifths, so that related keys have similar colours.
_FIFTHS = ("C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#", "F")
_MAJOR_COLOURS = (
    *("#f8c8c8", "#f9d5bd", "#f8e3b8", "#f2edb9", "#dcedba", "#c4ebc4"),
    *("#bdebdc", "#bfe6ee", "#c3d9f5", "#cdcdf6", "#dfc9f4", "#f2c9e6"),
)
_SECTION_COLOURS = (
    *("#8fb4f0", "#f3b67a", "#8ccf9e", "#e59ac0", "#c0a5ec", "#7fcad0"),
    *("#d9c36a", "#e3938a"),
)

# Relative keys have one number on the Camelot wheel: A is three fifths above C.
_MINOR_FIFTHS = 3
_LINE_PIXELS = 6
_MOST_BARS = 16
_TICK_PIXELS = 90
_TICKS_SECONDS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800, 3_600),
)
# The floor of the loudness graph, and a lower one for songs too quiet for it.
_QUIETEST_DECIBELS, _QUIETEST_OF_QUIET_DECIBELS = -48, -96
_DECIBEL_LINES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Report:
    """The contents of a report; times are in seconds.

    `waveform` (n, channels, 2) and `loudness` (dB, None for silence) are evenly spaced
    in time. `keys` are (start, end, name), `sections` (start, end, label, energy 0 to
    1), and `facts` short texts below the title. `stem` is the name of a stem; a stem
    has no beats, keys or sections.
    """

    title: str
    duration_seconds: float
    waveform: Values
    bpm: float | None = None
    key: str | None = None
    facts: Sequence[str] = ()
    beats: Sequence[float] = ()
    downbeats: Sequence[float] = ()
    keys: Sequence[tuple[float, float, str]] = ()
    sections: Sequence[tuple[float, float, str, float]] = ()
    loudness: Sequence[float | None] = ()
    stem: str | None = None


def draw(
    report: Report,
    form: str = "png",
    width: int = DEFAULT_WIDTH,
    height: int = DEFAULT_HEIGHT,
) -> bytes:
    """Return a report as PNG or SVG. Raises InvalidInput for a wrong format or size."""
    picture = canvas(form, width, height, SMALLEST, _PAGE)
    page = _Page(picture, report, width, height)
    page.draw()
    return picture.finish()


class _Page:
    """The layout of a report: its rows from top to bottom."""

    def __init__(
        self, picture: Canvas, report: Report, width: int, height: int
    ) -> None:
        self._picture = picture
        self._report = report
        self._unit = max(min(width / DEFAULT_WIDTH, height / DEFAULT_HEIGHT), 0.4)
        self._small = max(16 * self._unit, 10)
        self._margin = round(24 * self._unit)
        self._left = self._margin + round(6 * self._small)
        self._width = width - self._left - self._margin
        self._height = height

    def draw(self) -> None:
        header = 2.6 * 30 * self._unit
        axis = 1.9 * self._small
        gap = 10 * self._unit
        free = self._height - 2 * self._margin - header - axis - 3 * gap
        y = self._margin + header
        self._header()
        # Rows share the remaining height; a stem has only the first and the last row.
        if self._report.stem is not None:
            y = self._waveform(self._box(y, 0.73 * free))
            self._axis(y)
            self._loudness(self._box(y + axis, 0.27 * free))
            return
        y = self._waveform(self._box(y, 0.54 * free))
        self._axis(y)
        y = self._sections(self._box(y + axis, 0.15 * free)) + gap
        y = self._keys(self._box(y, 0.11 * free)) + gap
        self._loudness(self._box(y, 0.20 * free))

    def _box(self, y: float, height: float) -> Box:
        return Box(self._left, round(y), self._width, max(round(height), 4))

    def _x(self, seconds: float) -> float:
        share = min(max(seconds / self._report.duration_seconds, 0), 1)
        return self._left + share * self._width

    def _header(self) -> None:
        report, unit = self._report, self._unit
        right = self._left + self._width
        large = 30 * unit
        baseline = self._margin + large
        right_width = (right - self._margin) * 0.48
        title_width = right - self._margin - right_width - 2 * self._small
        text = self._picture.text
        text(self._margin, baseline, report.title, large, _INK, "start", title_width)
        text(right, baseline, self._headline(), large, _INK, "end", right_width)
        facts = "   ".join((self._length(), *report.facts))
        baseline += 1.6 * self._small
        text(self._margin, baseline, facts, self._small, _GREY, "start", self._width)

    def _headline(self) -> str:
        report = self._report
        if report.stem is not None:
            return report.stem
        bpm = "no beat" if report.bpm is None else f"{report.bpm:.2f} BPM"
        return f"{bpm}    {report.key or 'no key'}"

    def _length(self) -> str:
        seconds = self._report.duration_seconds
        return _time(seconds, 1 if seconds >= 10 else 0.01)

    def _label(self, box: Box, label: str) -> None:
        y = box.y + box.height / 2 + self._small * 0.35
        room = self._left - self._margin
        self._picture.text(self._margin, y, label, self._small, _GREY, "start", room)

    def _waveform(self, box: Box) -> int:
        picture, report = self._picture, self._report
        self._label(box, "Waveform")
        picture.rectangle(box.x, box.y, box.width, box.height, _PANEL)
        tick = max(round(8 * self._unit), 4)
        inner = Box(box.x, box.y + tick, box.width, box.height - 2 * tick)
        beats = self._spaced(report.beats, 1)
        bars = self._spaced(report.downbeats, _MOST_BARS)
        for seconds in bars:
            picture.rectangle(round(self._x(seconds)), box.y, 1, box.height, _GRID)
        waveform.fill(picture, inner, report.waveform, _COLOURS)
        for times, height, colour in (
            (beats, tick / 2, _BEAT),
            (bars, tick, _DOWNBEAT),
        ):
            for seconds in times:
                x = round(self._x(seconds))
                bottom = box.y + box.height - height
                picture.rectangle(x, box.y, 1, height, colour)
                picture.rectangle(x, bottom, 1, height, colour)
        return box.y + box.height

    def _spaced(self, times: Sequence[float], most: int) -> Sequence[float]:
        """Return every n-th time, n a power of 2, not too dense; none if n > `most`."""
        step = 1
        per_pixel = len(times) / self._width
        while per_pixel / step > 1 / _LINE_PIXELS:
            step *= 2
        return times[::step] if step <= most else ()

    def _axis(self, y: float) -> None:
        duration = self._report.duration_seconds
        room = max(_TICK_PIXELS * self._unit, 5 * self._small)
        least = duration * room / self._width
        step = next((tick for tick in _TICKS_SECONDS if tick >= least), None)
        step = step or math.ceil(least / 3_600) * 3_600
        for count in range(int(duration / step) + 1):
            x = self._x(count * step)
            self._picture.rectangle(round(x), y, 1, 5 * self._unit, _GREY)
            # A label that would be cut off at the right edge is left out.
            if x < self._left + self._width - 2 * self._small:
                text, at = _time(count * step, step), y + 1.3 * self._small
                self._picture.text(x, at, text, self._small, _GREY, "middle")

    def _sections(self, box: Box) -> int:
        self._label(box, "Sections")
        self._picture.rectangle(box.x, box.y, box.width, box.height, _TRACK)
        labels = list(dict.fromkeys(section[2] for section in self._report.sections))
        for start, end, label, energy in self._report.sections:
            colour = _SECTION_COLOURS[labels.index(label) % len(_SECTION_COLOURS)]
            # Even the quietest section is high enough for its label.
            share = 0.45 + 0.55 * min(max(energy, 0), 1)
            height = round(box.height * share)
            top = box.y + box.height - height
            self._part(Box(0, top, 0, height), start, end, label, colour, label)
        return box.y + box.height

    def _keys(self, box: Box) -> int:
        self._label(box, "Key")
        self._picture.rectangle(box.x, box.y, box.width, box.height, _TRACK)
        for start, end, name in self._report.keys:
            self._part(box, start, end, name, _key_colour(name), _short_key(name))
        return box.y + box.height

    def _part(
        self, box: Box, start: float, end: float, text: str, colour: str, short: str
    ) -> None:
        """Draw a time span with its name, or the short one, if there is room."""
        left, right = round(self._x(start)), round(self._x(end))
        self._picture.rectangle(left, box.y, right - left, box.height, colour)
        self._picture.rectangle(right - 1, box.y, 1, box.height, _PAGE)
        size = min(1.15 * self._small, 0.8 * box.height)
        middle, y = (left + right) / 2, box.y + box.height / 2 + size * 0.36
        for name in (text, short):
            if len(name) * 0.62 * size <= right - left - 0.4 * size:
                self._picture.text(middle, y, name, size, _INK, "middle")
                return

    def _loudness(self, box: Box) -> None:
        self._label(box, "Loudness")
        known = [level for level in self._report.loudness if level is not None]
        quietest = _QUIETEST_DECIBELS
        if known and max(known) < quietest * _DECIBEL_LINES[-1]:
            quietest = _QUIETEST_OF_QUIET_DECIBELS
        levels = [quietest if each is None else each for each in self._report.loudness]
        if levels:
            columns = waveform.folded(np.maximum, np.array(levels, float), box.width)
            shares = (1 - columns / quietest).clip(0, 1)
            bottoms = np.full(box.width, float(box.y + box.height))
            tops = bottoms - shares * box.height
            self._picture.columns(box.x, tops, bottoms, _LOUDNESS)
        size = max(0.7 * self._small, 9)
        for line in _DECIBEL_LINES:
            y = box.y + round(box.height * line)
            self._picture.rectangle(box.x, y, box.width, 1, _RULE)
            # The middle one would overlap the row's label.
            if line != _DECIBEL_LINES[1] and box.height > 4 * size:
                at = box.x - 0.4 * size, y + 0.35 * size
                text = f"{line * quietest:g} dB"
                self._picture.text(*at, text, size, _GREY, "end")
        bottom = box.y + box.height - 1
        self._picture.rectangle(box.x, bottom, box.width, 1, _GREY)


def _key_colour(name: str) -> str:
    tonic, _, mode = name.partition(" ")
    if tonic not in _FIFTHS:
        return _RULE
    fifths = _FIFTHS.index(tonic) - (_MINOR_FIFTHS if mode.startswith("minor") else 0)
    return _MAJOR_COLOURS[fifths % len(_MAJOR_COLOURS)]


def _short_key(name: str) -> str:
    """Return `Am` for `A minor` and `C` for `C major`."""
    tonic, _, mode = name.partition(" ")
    return tonic + ("m" if mode.startswith("minor") else "")


def _time(seconds: float, step: float = 1) -> str:
    """Return a time as 3:05 or 1:03:05, or in seconds if the step is below one."""
    if step < 1:
        return f"{round(seconds, 2):g} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
