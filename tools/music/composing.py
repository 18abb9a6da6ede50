"""Random compositions in a style: whole arrangements in beats."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tools.music import drumming, figures, harmony
from tools.music.figures import Ground, Tune
from tools.music.styles import PADS, STRINGS, VOICES, Style
from tools.music.values import Bar, Composition, Key, Note, Track

_TRIPLETS = ("triplets", "broken", "quarters")
# Section letters of a form; sections in lower case have fewer players.
_FORMS = ("AABA", "iABAB", "iAABBA", "ABAB", "iABCAB", "AABB", "iAbAB", "ABAC", "iABaB")


def compose(
    rng: np.random.Generator,
    style: Style,
    bpm: float,
    seconds: float,
    key: Key,
    moves: bool,
    pickup_beats: int = 0,
) -> Composition:
    """Compose a piece of about `seconds`; if it `moves`, it modulates."""
    beats_per_bar, division = style.bar
    bars_wanted = max(round(seconds * bpm / 60 / beats_per_bar), 8)
    sections = form(rng, bars_wanted, key, moves)
    per_chord = int(rng.choice(style.bars_per_chord)) if beats_per_bar > 2 else 2
    is_loop = bool(rng.random() < 0.35)
    bars = harmony.bars(
        rng, sections, beats_per_bar, style.sevenths, per_chord, is_loop
    )
    ground = Ground(tuple(bars), beats_per_bar, division)
    is_half_time = division == 4 and bpm > 125 and bool(rng.random() < 0.12)
    tracks = _players(rng, style, ground, is_half_time)
    if rng.random() < 0.3:
        tracks = _pushing(rng, tracks, ground)
    ratio = float(rng.uniform(*style.swing))
    if ratio > 0.5:
        tracks = [_swung(track, ratio, style.swung) for track in tracks]
    moved = [_later(track, pickup_beats) for track in tracks]
    if pickup_beats:
        moved.append(pickup(rng, bars[0], pickup_beats, tracks))
    return Composition(
        tuple(track for track in moved if track.notes),
        tuple(bars),
        beats_per_bar,
        pickup_beats,
        tuple(dict.fromkeys((*style.traits, *["half-time"] * is_half_time))),
    )


def form(
    rng: np.random.Generator, bars: int, key: Key, moves: bool
) -> list[tuple[str, int, Key]]:
    """Draw sections of 4, 8 or 16 bars; if it `moves`, some are in another key."""
    letters = str(rng.choice(_FORMS))
    size = 16 if bars > 100 else 8 if bars > 20 else 4
    found: list[tuple[str, int, Key]] = []
    other = harmony.modulated(rng, key)
    # The last third or so, or the middle section, is in another key.
    mark = float(rng.uniform(0.55, 0.8))
    is_bridge = bool(rng.random() < 0.4)
    left, at = bars, 0
    while left > 0:
        letter = letters[at % len(letters)]
        count = min(4 if letter == "i" else size, left)
        if left - count < 4:
            count = left
        share = 1 - left / bars
        is_moved = moves and (
            (is_bridge and letter in "Bb") if is_bridge else share >= mark
        )
        found.append((f"{letter}{at}", count, other if is_moved else key))
        left -= count
        at += 1
    return found


def _players(
    rng: np.random.Generator, style: Style, ground: Ground, is_half_time: bool
) -> list[Track]:
    tracks: list[Track] = []
    if style.drums and rng.random() >= max(style.no_drums, 0.1):
        notes = drumming.play(
            rng,
            style.drums,
            ground.bars,
            ground.beats_per_bar,
            ground.division,
            is_half_time,
        )
        kit = int(rng.choice(style.kits))
        tracks.append(Track("drums", kit, tuple(notes), int(rng.integers(58, 118))))
    has_bass = rng.random() < 0.93
    if has_bass:
        kind = _kind(rng, style.bass, figures.BASS[ground.division])
        lowest = int(rng.choice([28, 31, 33, 36]))
        program = int(rng.choice(style.bass_programs))
        line = figures.bass(rng, ground, kind, lowest)
        if rng.random() < 0.1:
            line = figures.crossed(rng, ground, lowest, is_bass=True)
        tracks.append(Track("bass", program, tuple(line), int(rng.integers(85, 122))))
    for _ in range(int(rng.integers(1, 4))):
        kind = _kind(rng, style.comps, figures.COMPS[ground.division])
        program = int(rng.choice(style.comp_programs))
        lowest = int(rng.integers(46, 62))
        notes = figures.comp(rng, ground, kind, lowest)
        other = rng.random()
        if other < 0.14:
            notes = figures.crossed(rng, ground, lowest, is_bass=False)
        elif other < 0.22 and ground.division == 4:
            # Triplets against a straight division.
            odd = replace(ground, division=3)
            notes = figures.comp(rng, odd, str(rng.choice(_TRIPLETS)), lowest)
        tracks.append(_placed(rng, "other", program, notes, (58, 104)))
    if rng.random() < 0.35:
        pads = (*PADS, *STRINGS[-3:], *VOICES[:2])
        program = int(rng.choice(pads))
        notes = figures.comp(rng, ground, "pad", int(rng.integers(48, 64)))
        tracks.append(_placed(rng, _sung(program), program, notes, (45, 85)))
    tracks += _leads(rng, style, ground)
    return [_resting(rng, track, ground) for track in tracks]


def _leads(rng: np.random.Generator, style: Style, ground: Ground) -> list[Track]:
    if rng.random() >= style.lead_chance:
        return []
    tune = Tune(
        str(rng.choice(style.tunes)),
        int(rng.choice([57, 60, 64, 67, 70])),
        leap=float(rng.uniform(0.1, 0.5)),
        rest=float(rng.choice([0.0, 0.05, 0.15])),
        chromatic=float(rng.choice([0.0, 0.0, 0.15, 0.3])),
    )
    under = ground
    if rng.random() < 0.12 and ground.division == 4:
        under = replace(ground, division=3)
    line = figures.melody(rng, under, tune)
    program = int(rng.choice(style.lead_programs))
    tracks = [_placed(rng, _sung(program), program, line, (88, 122))]
    if rng.random() < 0.3:
        second = int(rng.choice(style.lead_programs))
        thirds = figures.doubled_thirds(line, ground)
        tracks.append(_placed(rng, _sung(second), second, thirds, (65, 100)))
    if rng.random() < 0.3:
        # A counter-melody in another rhythm.
        other = replace(tune, rhythm=str(rng.choice(style.tunes)), rest=0.25)
        program = int(rng.choice((*style.comp_programs, *style.lead_programs)))
        line = figures.melody(rng, ground, replace(other, lowest=tune.lowest - 7))
        tracks.append(_placed(rng, "other", program, line, (60, 95)))
    return tracks


def _pushing(
    rng: np.random.Generator, tracks: Sequence[Track], ground: Ground
) -> list[Track]:
    """Let some players anticipate the start of some bars, together."""
    share = float(rng.uniform(0.3, 1.0))
    early = 0.5 if ground.division == 4 else 1 / 3
    if ground.division == 4 and rng.random() < 0.25:
        early = 0.25
    count = len(ground.bars)
    bars = {index for index in range(1, count) if rng.random() < share}
    return [
        replace(track, notes=tuple(figures.pushed(track.notes, ground, bars, early)))
        if track.stem != "drums" and rng.random() < 0.75
        else track
        for track in tracks
    ]


def _kind(
    rng: np.random.Generator, wanted: Sequence[str], known: dict[str, tuple[str, ...]]
) -> str:
    return str(rng.choice([kind for kind in wanted if kind in known]))


def _sung(program: int) -> str:
    return "vocals" if program in (52, 53, 54, 85, 91) else "other"


def _placed(
    rng: np.random.Generator,
    stem: str,
    program: int,
    notes: Sequence[Note],
    volumes: tuple[int, int],
) -> Track:
    pan = int(np.clip(rng.normal(64, 24), 4, 124))
    return Track(stem, program, tuple(notes), int(rng.integers(*volumes)), pan)


def _resting(rng: np.random.Generator, track: Track, ground: Ground) -> Track:
    """Remove a player from quiet sections, and from some others."""
    chances = {"drums": 0.5, "bass": 0.3}
    silent: set[str] = set()
    sections = list(dict.fromkeys(bar.section for bar in ground.bars))
    for place, section in enumerate(sections):
        is_quiet = section[0].islower()
        chance = chances.get(track.stem, 0.45) if is_quiet else 0.06
        # The first full section is never removed, so that every player is heard.
        if rng.random() < chance and place != 1:
            silent.add(section)
    if len(silent) == len(sections):
        return track
    names = [bar.section for bar in ground.bars]
    kept = tuple(
        note
        for note in track.notes
        if names[min(int(note.beat // ground.beats_per_bar), len(names) - 1)]
        not in silent
    )
    return replace(track, notes=kept)


def _swung(track: Track, ratio: float, level: int) -> Track:
    move = figures.swung(ratio, level)
    notes = []
    for note in track.notes:
        begin = move(note.beat)
        length = max(move(note.beat + note.length) - begin, 0.02)
        notes.append(replace(note, beat=begin, length=length))
    return replace(track, notes=tuple(notes))


def _later(track: Track, beats: int) -> Track:
    notes = tuple(replace(note, beat=note.beat + beats) for note in track.notes)
    changes = tuple((beat + beats if beat > 0 else 0.0, m) for beat, m in track.changes)
    return replace(track, notes=notes, changes=changes)


def pickup(
    rng: np.random.Generator, first: Bar, beats: int, tracks: Sequence[Track]
) -> Track:
    """Return a lead-in to the first bar: a scale run or drum strokes."""
    drums = [track for track in tracks if track.stem == "drums"]
    if drums and rng.random() < 0.5:
        strokes = tuple(
            Note(float(at) / 2, 0.1, 38, 80 + 4 * at) for at in range(2 * beats)
        )
        return replace(drums[0], notes=strokes)
    lead = max(tracks, key=lambda track: np.mean([n.pitch for n in track.notes] or [0]))
    scale = [p for p in range(60, 84) if p % 12 in first.key.scale]
    end = next(i for i, p in enumerate(scale) if p % 12 == first.key.tonic and i >= 0)
    run = 2 * beats
    start = end + run if end < run else end - run
    step = -1 if start > end else 1
    notes = tuple(
        Note(i / 2, 0.45, scale[start + step * i], 84 + i) for i in range(run)
    )
    return replace(lead, notes=notes, changes=())
