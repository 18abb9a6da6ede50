"""Songs with known beats, of many metres, feels, patterns and densities."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Rng = np.random.Generator

KICK, SNARE, CLAP, HAT, CRASH = 36, 38, 39, 42, 49
TOMS = (41, 43, 45, 47, 48, 50)
SMALL = (54, 56, 62, 63, 64, 69, 70, 75, 76, 77)

# The line of a bar's steps for each drum: x loud, o soft, . silent.
Pattern = dict[int, str]


@dataclass(frozen=True)
class Style:
    """A kind of music: its tempi, beats in a bar, steps in a beat, and drums."""

    bpm: tuple[float, float]
    beats: int
    steps: int
    drums: tuple[Pattern, ...]
    swing: tuple[float, float] = (0.0, 0.0)


def _styles() -> dict[str, Style]:
    """Read the styles; a pattern has a line of steps per General MIDI drum."""
    styles = json.loads(Path(__file__).with_name("styles.json").read_text())
    return {
        name: Style(
            bpm=tuple(style["bpm"]),
            beats=style["beats"],
            steps=style["steps"],
            swing=tuple(style["swing"]),
            drums=tuple(
                {int(drum): line for drum, line in pattern.items()}
                for pattern in style["drums"]
            ),
        )
        for name, style in styles.items()
    }


STYLES = _styles()
UNUSUAL = ("five",)
WITHOUT_DRUMS = ("orchestral", "waltz", "ballad", "six eight", "chip", "twelve eight")

PROGRAMS = {
    "bass": (*range(32, 40), 0, 43, 58, 70, 38, 39),
    "chords": (*range(0, 32), *range(48, 56), 61, 62, 63, *range(80, 96), 104, 106),
    "lead": (*range(0, 32), *range(40, 47), *range(52, 96), 104, 105, 107, 110, 114),
}
PROGRESSIONS = (
    (0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (0, 6, 5, 4), (0, 0, 3, 4), (5, 3, 0, 4),
    (0, 3), (0, 0, 0, 0), (0, 2, 3, 4), (1, 4, 0, 0), (0, 4), (0, 5, 1, 4), (0, 6),
    (0, 0, 0, 0, 3, 3, 0, 0, 4, 3, 0, 4),
)  # fmt: skip
SCALES = (
    (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10), (0, 2, 3, 5, 7, 8, 11), (0, 1, 3, 5, 7, 8, 10),
)  # fmt: skip


@dataclass(frozen=True)
class Note:
    """A note; `start` and `end` are in steps, and in seconds once it is performed."""

    channel: int
    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Song:
    """Notes and programs by channel, and the times of beats and bars in seconds."""

    style: str
    programs: dict[int, int]
    notes: tuple[Note, ...]
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    is_constant: bool
    bpm: float


class _Sheet:
    """What the players of a song share: style, key, scale and chords."""

    def __init__(self, rng: Rng, style: Style, bars: int) -> None:
        self.rng, self.style, self.bars = rng, style, bars
        self.width = style.beats * style.steps
        scale = SCALES[rng.integers(len(SCALES))]
        self.steps = [tone + 12 * octave for octave in range(9) for tone in scale]
        self.key = int(rng.integers(12))
        turns = [PROGRESSIONS[rng.integers(len(PROGRESSIONS))] for _ in range(2)]
        each = int(rng.choice([1, 1, 1, 2]))
        size = int(rng.choice([4, 8]))
        self.degrees = [
            turns[bar // (2 * size) % 2][
                bar // each % len(turns[bar // (2 * size) % 2])
            ]
            for bar in range(bars)
        ]

    def pitch(self, lowest: int, degree: int) -> int:
        """Return the pitch of a scale degree in the octave from `lowest` up."""
        base = lowest + (self.key - lowest) % 12
        return base + self.steps[degree]


def compose(seed: int) -> Song:
    """Compose a song of about 30 to 60 s from a seed."""
    rng = np.random.default_rng([seed, 14])
    names = list(STYLES)
    shares = np.array([0.3 if name in UNUSUAL else 1.0 for name in names])
    name = str(rng.choice(names, p=shares / shares.sum()))
    style = STYLES[name]
    bpm = float(np.exp(rng.uniform(*np.log(style.bpm))))
    bars = max(int(rng.uniform(32, 55) * bpm / 60 / style.beats), 6)
    sheet = _Sheet(rng, style, bars)
    notes: list[Note] = []
    programs: dict[int, int] = {}
    has_drums = rng.random() > (0.5 if name in WITHOUT_DRUMS else 0.08)
    if has_drums:
        notes += _dropped(sheet, _drums(sheet), 0.25)
        programs[9] = int(rng.choice([0, 0, 0, 8, 16, 24, 25, 32, 40]))
    players = ["bass"] * int(rng.random() < 0.85)
    players += list(
        rng.choice(["pad", "comp", "arpeggio", "oompah"], size=int(rng.integers(1, 5)))
    )
    players += ["melody"] * int(rng.integers(0, 3))
    free = iter((*range(9), *range(10, 16)))
    for player in players:
        channel = next(free)
        part = _PLAYERS[player](sheet, channel)
        notes += _dropped(sheet, part, 0.1 if player == "bass" else 0.3)
        kind = {"bass": "bass", "melody": "lead"}.get(player, "chords")
        programs[channel] = int(rng.choice(PROGRAMS[kind]))
    return _performed(rng, name, sheet, bpm, notes, programs)


def _drums(sheet: _Sheet) -> list[Note]:
    rng, width = sheet.rng, sheet.width
    options = sheet.style.drums
    first, second = (options[rng.integers(len(options))] for _ in range(2))
    if rng.random() < 0.6:
        second = first
    if rng.random() < 0.45:
        first, second = _scattered(sheet, first), _scattered(sheet, second)
    force = {voice: float(rng.uniform(0.55, 1.1)) for voice in first | second}
    extra = {}
    if rng.random() < 0.3:
        line = "".join(rng.choice(list(".....ox"), size=width))
        extra = {int(rng.choice(SMALL)): line}
    with_clap = rng.random() < 0.15
    fills = int(rng.choice([4, 4, 8, 8, 10**6]))
    ghost = float(rng.choice([0.0, 0.0, 0.03, 0.08]))
    soft = int(rng.integers(45, 85))
    notes = []
    for bar in range(sheet.bars):
        pattern = (second if bar // 8 % 2 else first) | extra
        is_fill = bar % fills == fills - 1
        fill_from = (
            width - int(rng.choice([1, 2, sheet.style.beats])) * sheet.style.steps
        )
        for voice, line in pattern.items():
            for step, stroke in enumerate(line):
                if is_fill and step >= fill_from:
                    continue
                struck = stroke
                if struck == "." and rng.random() < ghost and voice != CRASH:
                    struck = "o"
                if struck == ".":
                    continue
                at = bar * width + step
                loud = 110 if struck == "x" else soft
                velocity = round(loud * force.get(voice, 1.0) + rng.normal(0, 6))
                notes.append(_hit(at, voice, velocity))
                if with_clap and voice == SNARE and struck == "x":
                    notes.append(_hit(at, CLAP, velocity))
        if is_fill:
            every = int(rng.choice([1, 1, 2])) if sheet.style.steps == 4 else 1
            for step in range(fill_from, width, every):
                if rng.random() < 0.8:
                    drum = int(rng.choice([SNARE, SNARE, *TOMS]))
                    notes.append(
                        _hit(bar * width + step, drum, int(rng.integers(75, 120)))
                    )
            if rng.random() < 0.8 and bar + 1 < sheet.bars:
                notes.append(_hit((bar + 1) * width, CRASH, 110))
    return notes


def _scattered(sheet: _Sheet, pattern: Pattern) -> Pattern:
    """Return a pattern with kicks off the beat and another rhythm of the hats.

    The backbeat stays: a pattern without a snare may get one.
    """
    rng, steps, width = sheet.rng, sheet.style.steps, sheet.width
    changed = dict(pattern)
    if KICK in pattern and rng.random() < 0.7:
        chance = float(rng.uniform(0.1, 0.35))
        line = list("".join("x" if hit else "." for hit in rng.random(width) < chance))
        if rng.random() < 0.85:
            line[0] = "x"
        changed[KICK] = "".join(line)
    if rng.random() < 0.7:
        half = max(steps // 2, 1)
        kinds = {
            "all": ["x"] * width,
            "off": [
                "x" if step % steps == steps - half else "." for step in range(width)
            ],
            "cross": ["x" if step % 3 == 0 else "." for step in range(width)],
            "late": [
                "x" if step % steps == steps - 1 else "." for step in range(width)
            ],
            "odd": ["x" if hit else "." for hit in rng.random(width) < 0.5],
        }
        voice = int(rng.choice([HAT, HAT, 46, 51, 70, 54]))
        changed.pop(HAT, None)
        changed[voice] = "".join(kinds[str(rng.choice(list(kinds)))])
    if SNARE not in changed and rng.random() < 0.5:
        beats = range(sheet.style.beats)
        line = ["x" if b % 2 or (sheet.style.beats == 3 and b) else "." for b in beats]
        changed[SNARE] = "".join(mark + "." * (steps - 1) for mark in line)
    return changed


def _hit(at: float, voice: int, velocity: int) -> Note:
    return Note(9, at, at + 0.5, voice, int(np.clip(velocity, 20, 127)))


def _rhythm(sheet: _Sheet, density: float, syncopation: float) -> list[int]:
    """Draw the steps of a bar: most often on beats, then half beats, then others."""
    steps = sheet.style.steps
    chosen = []
    for step in range(sheet.width):
        weight = 1.0 if step % steps == 0 else 0.55 if 2 * step % steps == 0 else 0.25
        if step == 0:
            weight = 1.6
        if sheet.rng.random() < density * (
            weight * (1 - syncopation) + syncopation * 0.5
        ):
            chosen.append(step)
    return chosen or [0]


def _bass(sheet: _Sheet, channel: int) -> list[Note]:
    rng, steps, width = sheet.rng, sheet.style.steps, sheet.width
    lowest = int(rng.choice([24, 28, 31, 36]))
    kind = str(
        rng.choice(["root", "beats", "fast", "octaves", "riff", "walk", "off", "fifth"])
    )
    riffs = [_rhythm(sheet, 0.8, float(rng.choice([0.1, 0.5, 0.9]))) for _ in range(2)]
    notes = []
    for bar, degree in enumerate(sheet.degrees):
        half = steps // 2 if steps == 4 else 1
        if kind == "root":
            places = [(0, degree)]
        elif kind in ("beats", "walk"):
            places = [
                (
                    beat * steps,
                    degree
                    + (int(rng.integers(0, 5)) if kind == "walk" and beat else 0),
                )
                for beat in range(sheet.style.beats)
            ]
        elif kind == "fast":
            places = [(step, degree) for step in range(0, width, half)]
        elif kind == "octaves":
            places = [
                (step, degree + 7 * (step // half % 2))
                for step in range(0, width, half)
            ]
        elif kind == "off":
            places = [
                (beat * steps + max(steps // 2, 1), degree)
                for beat in range(sheet.style.beats)
            ]
        elif kind == "fifth":
            places = [(0, degree), (sheet.style.beats // 2 * steps, degree + 4)]
        else:
            places = [
                (step, degree + int(rng.choice([0, 0, 0, 4, 7])))
                for step in riffs[bar % 2]
            ]
        notes += _line(sheet, channel, bar, places, lowest, 95)
    return notes


def _line(
    sheet: _Sheet,
    channel: int,
    bar: int,
    places: Sequence[tuple[int, int]],
    lowest: int,
    velocity: int,
) -> list[Note]:
    """Return notes at places (step, degree) of a bar, each held almost to the next."""
    ends = [*(step for step, _ in places[1:]), sheet.width]
    start = bar * sheet.width
    return [
        Note(
            channel,
            start + step,
            start + step + max(0.8 * (end - step), 0.4),
            min(sheet.pitch(lowest, degree), 108),
            int(np.clip(velocity + sheet.rng.normal(0, 7) + 8 * (step == 0), 30, 127)),
        )
        for (step, degree), end in zip(places, ends, strict=True)
    ]


def _pad(sheet: _Sheet, channel: int) -> list[Note]:
    lowest = int(sheet.rng.choice([48, 55, 60]))
    velocity = int(sheet.rng.integers(45, 85))
    return [
        note
        for bar, degree in enumerate(sheet.degrees)
        for third in range(3)
        for note in _line(
            sheet, channel, bar, [(0, degree + 2 * third)], lowest, velocity
        )
    ]


def _comp(sheet: _Sheet, channel: int) -> list[Note]:
    rng = sheet.rng
    lowest = int(rng.choice([48, 55, 60]))
    density = float(rng.choice([0.5, 0.8, 1.0]))
    bars = [
        _rhythm(sheet, density, float(rng.choice([0.0, 0.4, 0.9]))) for _ in range(2)
    ]
    if rng.random() < 0.35:  # On every off-beat.
        steps = sheet.style.steps
        bars = [[b * steps + steps // 2 for b in range(sheet.style.beats)]] * 2
    velocity = int(rng.integers(50, 95))
    return [
        note
        for bar, degree in enumerate(sheet.degrees)
        for third in range(3)
        for note in _line(
            sheet,
            channel,
            bar,
            [(s, degree + 2 * third) for s in bars[bar % 2]],
            lowest,
            velocity,
        )
    ]


def _oompah(sheet: _Sheet, channel: int) -> list[Note]:
    steps, beats = sheet.style.steps, sheet.style.beats
    each = int(sheet.rng.choice([1, 1, 2])) if steps == 4 else 1
    lowest = 48
    notes = []
    for bar, degree in enumerate(sheet.degrees):
        if beats == 3 or steps == 3:
            first, after = [0], [beat * steps for beat in range(1, beats)]
        else:
            unit = 2 * steps // each // 2 * 2
            first = list(range(0, sheet.width, unit))
            after = [step + unit // 2 for step in first]
        notes += _line(
            sheet, channel, bar, [(s, degree) for s in first], lowest - 12, 90
        )
        for third in range(3):
            notes += _line(
                sheet,
                channel,
                bar,
                [(s, degree + 2 * third) for s in after],
                lowest,
                75,
            )
    return notes


def _arpeggio(sheet: _Sheet, channel: int) -> list[Note]:
    rng, width = sheet.rng, sheet.width
    every = int(rng.choice([1, 2])) if sheet.style.steps == 4 else 1
    figure = [
        int(x)
        for x in rng.choice([0, 2, 4, 7, 9], size=int(rng.choice([3, 4, 4, 6, 8])))
    ]
    lowest = int(rng.choice([48, 55, 60, 67]))
    velocity = int(rng.integers(55, 100))
    starts_anew = rng.random() < 0.7
    notes = []
    for bar, degree in enumerate(sheet.degrees):
        places = []
        for number, step in enumerate(range(0, width, every)):
            count = number if starts_anew else number + bar * (width // every)
            places.append((step, degree + figure[count % len(figure)]))
        notes += _line(sheet, channel, bar, places, lowest, velocity)
    return notes


def _melody(sheet: _Sheet, channel: int) -> list[Note]:
    rng = sheet.rng
    lowest = int(rng.choice([55, 60, 67, 72]))
    syncopation = float(rng.choice([0.0, 0.3, 0.6, 1.0]))
    density = float(rng.choice([0.3, 0.6, 0.9]))
    motifs = [_rhythm(sheet, density, syncopation) for _ in range(4)]
    triplets = sheet.style.steps == 4 and rng.random() < 0.12
    velocity = int(rng.integers(70, 115))
    notes, degree = [], 7
    for bar, root in enumerate(sheet.degrees):
        if rng.random() < 0.15:
            continue
        places = []
        for step in motifs[int(rng.choice([0, 0, 1, 2, 3]))]:
            degree = int(
                np.clip(degree + rng.choice([-2, -1, -1, 0, 1, 1, 2, 4, -4]), 2, 14)
            )
            if step == 0:
                degree = root % 7 + int(rng.choice([0, 2, 4])) + 4
            places.append((step, min(degree, 20)))
        notes += _line(sheet, channel, bar, places, lowest, velocity)
        if triplets and rng.random() < 0.4:
            beat = bar * sheet.width + sheet.style.steps * int(
                rng.integers(sheet.style.beats)
            )
            for third in range(3):
                at = beat + third * sheet.style.steps / 3
                pitch = sheet.pitch(lowest, degree + third)
                notes.append(Note(channel, at, at + 1, min(pitch, 108), velocity))
    return notes


_PLAYERS = {
    "bass": _bass,
    "pad": _pad,
    "comp": _comp,
    "arpeggio": _arpeggio,
    "oompah": _oompah,
    "melody": _melody,
}


def _dropped(sheet: _Sheet, notes: list[Note], chance: float) -> list[Note]:
    """Leave a part out of some sections of four bars, most often the first ones."""
    sections = sheet.bars // 4 + 1
    is_in = sheet.rng.random(sections) > chance * 0.5
    if sheet.rng.random() < chance:
        is_in[: int(sheet.rng.integers(1, max(sections // 2, 2)))] = False
    if not is_in[1:].any():
        is_in[:] = True
    return [
        note
        for note in notes
        if is_in[min(int(note.start // (4 * sheet.width)), sections - 1)]
    ]


def _performed(
    rng: Rng,
    name: str,
    sheet: _Sheet,
    bpm: float,
    notes: list[Note],
    programs: dict[int, int],
) -> Song:
    """Convert steps to seconds, with a tempo curve, swing and human timing."""
    steps, beats_per_bar = sheet.style.steps, sheet.style.beats
    count = sheet.bars * beats_per_bar
    beat = np.full(count + beats_per_bar, 60.0 / bpm)
    kind = rng.random()
    is_constant = kind < 0.72
    if kind >= 0.9:  # A change of tempo at a bar.
        at = int(
            rng.integers(sheet.bars // 3, max(2 * sheet.bars // 3, sheet.bars // 3 + 1))
        )
        beat[at * beats_per_bar :] *= float(rng.choice([0.8, 0.9, 1.1, 1.25]))
    elif kind >= 0.8:  # A wandering tempo.
        wander = np.cumsum(rng.normal(0, 0.006, len(beat)))
        beat *= np.exp(np.clip(wander - wander.mean(), -0.12, 0.12))
    elif kind >= 0.72:  # Gradually faster or slower.
        beat *= np.linspace(1, float(rng.uniform(0.9, 1.1)), len(beat))
    lead = float(rng.choice([0.0, rng.uniform(0, 0.5), rng.uniform(0, 3)]))
    times = lead + np.concatenate([[0.0], np.cumsum(beat)])
    swing = float(rng.uniform(*sheet.style.swing))
    jitter = float(rng.choice([0.0, 0.0, 0.003, 0.007, 0.012]))
    offsets = {channel: float(rng.normal(0, jitter)) for channel in programs}

    def when(step: float) -> float:
        place = step / steps
        if steps == 4:  # Swing delays the second and fourth sixteenths.
            whole = int(step) % 2
            place += whole * swing / steps
        return float(np.interp(place, np.arange(len(times)), times))

    played = []
    for note in notes:
        late = float(np.clip(rng.normal(offsets[note.channel], jitter), -0.03, 0.03))
        start = max(when(note.start) + late, 0.0)
        end = max(when(note.end) + late, start + 0.03)
        played.append(Note(note.channel, start, end, note.pitch, note.velocity))
    # Beats before the first note or after the last one can't be heard.
    last = max(note.start for note in played)
    before_end = times[:count][times[:count] <= last + 0.05]
    first = min(note.start for note in played)
    bars = times[:count:beats_per_bar]
    return Song(
        style=name,
        programs=programs,
        notes=tuple(played),
        beats=tuple(before_end[before_end >= first - 0.05].tolist()),
        downbeats=tuple(bars[(bars >= first - 0.05) & (bars <= last + 0.05)].tolist()),
        is_constant=is_constant,
        bpm=bpm,
    )
