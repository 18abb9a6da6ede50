"""Chord progressions that establish a key: phrases by mode, with cadences."""

import re

import numpy as np

from tools.music.values import MODES, Bar, Chord, Key

_QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "o": (0, 3, 6),
    "+": (0, 4, 8),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "M7": (0, 4, 7, 11),
    "o7": (0, 3, 6, 9),
    "h7": (0, 3, 6, 10),
    "s4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "5": (0, 7, 12),
}
_MMA = {
    (0, 4, 7): "",
    (0, 3, 7): "m",
    (0, 3, 6): "dim",
    (0, 4, 8): "aug",
    (0, 4, 7, 10): "7",
    (0, 3, 7, 10): "m7",
    (0, 4, 7, 11): "M7",
    (0, 3, 6, 9): "dim7",
    (0, 3, 6, 10): "m7b5",
    (0, 5, 7): "sus4",
    (0, 4, 7, 9): "6",
    (0, 3, 7, 9): "m6",
    (0, 7, 12): "5",
}
_ROOTS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_DEGREES = {
    **{"I": 0, "bII": 1, "II": 2, "bIII": 3, "III": 4, "IV": 5, "#IV": 6},
    **{"V": 7, "bVI": 8, "VI": 9, "bVII": 10, "VII": 11},
}
_SYMBOL = re.compile(r"([b#]?[IViv]+)(.*)")

# Phrases of four bars; "/" joins two chords in a bar. Lower case is minor. The phrases
# of the first list open a section; those of the second close it on the tonic.
_PHRASES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "major": (
        (
            "I V vi IV",
            "I vi IV V",
            "I IV I V",
            "I iii IV V",
            "I I IV V",
            "I ii V I",
            "I V I V",
            "I IV/V I V",
            "I vi ii V",
            "I I/V vi IV/V",
            "I IV vi V",
            "IV V iii vi",
            "I I7 IV iv",
            "I II7 V V7",
            "vi IV I V",
            "I III7 vi IV",
            "ii V7 I vi",
            "I V/V7 I IV",
            "I bVII IV V",
            "I io7 ii V7",
            "I bVI bVII I",
            "I bIII IV iv",
            "I III7 IV iv",
            "I IV7 bVII V",
            "I v IV iv",
            "I bII I V7",
            "I VI7 II7 V7",
            "I #IVo7 IV V",
            "iii vi ii V",
            "I I+ vi II7",
        ),
        (
            "I V vi/IV I",
            "IV V I I",
            "ii V I I",
            "I IV/V7 I I",
            "IV iv I I",
            "vi ii V7 I",
            "IV I/V7 I I",
            "ii7 V7 I6 I",
            "I/VI7 ii/V7 I I",
            "bVI bVII I I",
        ),
    ),
    "minor": (
        (
            "i bVI bIII bVII",
            "i iv V i",
            "i bVII bVI V",
            "i i iv V7",
            "i bVI iv V",
            "i v bVI bVII",
            "i bVII i V",
            "i iv bVII bIII",
            "i i bVI bVII",
            "i V i V7",
            "i bIII bVII iv",
            "bVI bVII i i",
            "i bII V i",
            "i IV bVI V",
            "i bVI iv bII",
            "i II7 V7 i",
            "i bvi i V",
            "i bIII IV bVI",
            "i v iv V",
            "i I7 iv V7",
            "i #IVo7 V i",
            "iv bVII bIII bVI",
            "i iio V i",
            "i/bVII bVI/bVII i V",
            "i i7 bVIM7 V",
            "iv i V7 i",
        ),
        (
            "iv V7 i i",
            "bVI bVII i i",
            "i iv/V7 i i",
            "iih7 V7 i i",
            "bVI V i i",
            "iv i/V7 i i",
            "bVII bVI/V i i",
            "i bVI/bVII i i",
        ),
    ),
    "dorian": (
        ("i IV i IV", "i bVII IV i", "i ii bIII IV", "i i IV IV", "i7 IV7 i7 IV7"),
        ("i IV i i", "bVII IV i i", "bIII IV i i"),
    ),
    "phrygian": (
        ("i bII i bII", "i bII bvii i", "i bIII bII i", "i i bII bIII"),
        ("bII bvii i i", "bIII bII i i", "bII bII i i"),
    ),
    "lydian": (("I II I II", "I II vii I", "I iii II I"), ("II V I I", "I II I I")),
    "mixolydian": (
        ("I bVII IV I", "I v bVII IV", "I bVII I bVII", "I I bVII IV", "I IV bVII I"),
        ("bVII IV I I", "IV bVII I I", "v bVII I I"),
    ),
    "blues": (
        ("I7 IV7 I7 I7", "IV7 IV7 I7 I7", "I7 I7 I7 I7"),
        ("V7 IV7 I7 I7", "ii7 V7 I7 I7", "V7 IV7 I7 I7"),
    ),
    "minor blues": (
        ("i7 i7 i7 i7", "iv7 iv7 i7 i7", "i7 iv7 i7 i7"),
        ("bVI7 V7 i7 i7", "v7 iv7 i7 i7", "V7 iv7 i7 i7"),
    ),
}


def chord(symbol: str, tonic: int) -> Chord:
    """Return the chord of a Roman numeral such as "bVIM7" over a tonic."""
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise ValueError(f'A chord must be a numeral such as "bVIM7", got {symbol!r}.')
    numeral, quality = match.groups()
    is_minor = numeral.lstrip("b#").islower()
    degree = _DEGREES[numeral if not is_minor else numeral.upper().replace("B", "b")]
    if is_minor and quality in ("", "7", "6"):
        quality = "m" + quality
    return Chord((tonic + degree) % 12, _QUALITIES[quality])


def mma_name(value: Chord) -> str:
    """Return a chord's name in MMA's notation."""
    return _ROOTS[value.root] + _MMA[value.intervals]


def phrase(
    rng: np.random.Generator, key: Key, closes: bool, sevenths: float
) -> list[tuple[Chord, ...]]:
    """Draw four bars of chords in a key; if it `closes`, it ends on the tonic."""
    symbols = str(rng.choice(_PHRASES[key.mode][int(closes)]))
    return [
        tuple(
            _coloured(rng, chord(s, key.tonic), key, sevenths) for s in bar.split("/")
        )
        for bar in symbols.split()
    ]


def _coloured(
    rng: np.random.Generator, value: Chord, key: Key, sevenths: float
) -> Chord:
    """Add the key's diatonic seventh to some triads."""
    if len(value.intervals) > 3 or rng.random() >= sevenths:
        return value
    third = value.intervals[1]
    if value.intervals not in ((0, 4, 7), (0, 3, 7)):
        return value
    is_tonic = value.root == key.tonic
    if third == 3:
        return Chord(value.root, (0, 3, 7, 10))
    is_dominant = (value.root - key.tonic) % 12 == 7 or (
        (value.root + 10) % 12 in key.scale and not is_tonic
    )
    if key.mode == "blues" or is_dominant:
        return Chord(value.root, (0, 4, 7, 10))
    return Chord(value.root, (0, 4, 7, 11))


def scale_of(key: Key, sounding: Chord) -> tuple[int, ...]:
    """Return the key's scale, altered where a chord has other notes."""
    wanted = set(sounding.pitch_classes)
    bent = {
        pc
        for pc in key.scale
        if pc in wanted
        or not {(pc + 1) % 12, (pc - 1) % 12} & (wanted - set(key.scale))
    }
    return tuple(sorted(bent | wanted))


def modulated(rng: np.random.Generator, key: Key) -> Key:
    """Draw a key to modulate to: a step up, the relative key, the fifth or a third."""
    if key.mode in ("major", "mixolydian", "lydian", "blues"):
        moves = [(1, 0), (2, 0), (5, 0), (7, 0), (9, 1), (0, 1), (3, 0), (8, 0)]
    else:
        moves = [(1, 0), (2, 0), (5, 0), (7, 0), (3, 1), (0, 1), (10, 0)]
    shift, is_other = moves[rng.integers(len(moves))]
    mode = key.mode
    if is_other:
        mode = "major" if key.is_minor else "minor"
    return Key((key.tonic + shift) % 12, mode)


def bars(
    rng: np.random.Generator,
    sections: list[tuple[str, int, Key]],
    beats_per_bar: int,
    sevenths: float,
    bars_per_chord: int = 1,
    is_loop: bool = False,
) -> list[Bar]:
    """Return the chords of sections (name, bars, key); equal names repeat theirs.

    A section consists of phrases of four bars, the last of which closes; with `is_loop`
    it is a loop of four bars without a close.
    """
    kept: dict[tuple[str, str], list[tuple[Chord, ...]]] = {}
    written: list[Bar] = []
    for name, count, key in sections:
        letter = name.rstrip("0123456789'")
        identity = (letter, key.mode)
        if identity not in kept:
            phrases = [
                phrase(rng, Key(0, key.mode), index % 2 == 1, sevenths)
                for index in range(4)
            ]
            kept[identity] = [bar for part in phrases for bar in part]
        source = kept[identity]
        for index in range(count):
            # A section ends with the last bars of a closing phrase.
            left = count - index
            at = index // bars_per_chord % len(source)
            if is_loop:
                at %= 4
            elif left <= 4 and count >= 4:
                at = 8 - left if len(source) >= 8 else at
            chords = tuple(
                Chord((c.root + key.tonic) % 12, c.intervals) for c in source[at]
            )
            step = beats_per_bar / len(chords)
            starts = [float(int(step * i)) for i in range(len(chords))]
            written.append(Bar(key, tuple(zip(starts, chords, strict=True)), name))
    return written


def mode_names() -> tuple[str, ...]:
    """Return the modes that have phrases."""
    return tuple(mode for mode in MODES if mode in _PHRASES)
