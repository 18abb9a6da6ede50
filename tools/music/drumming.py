"""Drum parts: patterns by bar, ghost notes, fills and crashes."""

from collections.abc import Sequence

import numpy as np

from tools.music.values import Bar, Note

VOICES = {
    **{"K": 36, "S": 38, "R": 37, "C": 39, "H": 42, "O": 46, "P": 44, "L": 41},
    **{"M": 45, "T": 48, "U": 50, "Y": 49, "I": 51, "B": 53, "W": 56, "A": 54},
    **{"G": 63, "g": 64, "J": 70, "V": 75, "D": 35, "E": 40, "Z": 57, "q": 60, "w": 61},
    **{"N": 80, "n": 81, "F": 43, "b": 62, "X": 69, "t": 76, "u": 77},
}
_LEVELS = {"X": 118, "x": 98, "o": 62, "r": 44}

# The steps of one or more bars by voice, a letter: X accented, x plain, o soft, r very
# soft.
PATTERNS: dict[str, tuple[str, ...]] = {
    # Sixteenths in 4/4.
    "four floor": (
        "K:X...X...X...X... C:....X.......X... O:..x...x...x...x. H:x.xxx.xxx.xxx.xx",
        "K:X...X...X...X..x S:....X.......X..o O:..X...X...X...X.",
        "K:X...X...X...X... H:x.x.x.x.x.x.x.x. C:....X.......X.x.",
    ),
    "techno": (
        "K:X...X...X...X... H:..x...x...x...x. R:...x..x....x..x.",
        "K:X...X...X...X.x. O:..X...X...X...X. C:....x.......x... W:..x..x..x..x..x.",
        "K:X...X...X...X... H:xoxoxoxoxoxoxoxo L:...........x..x.",
    ),
    "trance": (
        "K:X...X...X...X... O:..X...X...X...X. C:....X.......X... H:xxxxxxxxxxxxxxxx",
        "K:X...X...X...X... O:..X...X...X...X. S:....X.......X... A:x.xxx.xxx.xxx.xx",
    ),
    "disco": (
        "K:X...X...X...X... S:....X.......X... O:..X...X...X...X. H:x.xxx.xxx.xxx.xx",
        "K:X...X...X...X... S:....X.......X.oo H:x...x...x...x... O:..X...X...X...X.",
    ),
    "rock": (
        "K:X.......X....... S:....X.......X... H:x.x.x.x.x.x.x.x.",
        "K:X.....x.X....... S:....X.......X... H:X.x.X.x.X.x.X.x.",
        "K:X..x....X.x..... S:....X..o....X... H:x.x.x.x.x.x.x.x.",
        "K:X.......x.X..... S:....X.......X..o I:X.x.X.x.X.x.X.x.",
    ),
    "hard rock": (
        "K:X.x...x.X.x..... S:....X.......X... O:X...X...X...X...",
        "K:X..x..x...x..... S:....X.......X... I:X...X...X...X...",
        "K:X.....xxX....... S:....X.......X.x. H:X...X...X...X...",
    ),
    "double kick": (
        "K:xxxxxxxxxxxxxxxx S:....X.......X... I:X...X...X...X...",
        "K:x.xxx.xxx.xxx.xx S:....X.......X... Y:X.......X.......",
        "K:x.x.x.x.x.x.x.x. S:..X...X...X...X. H:x.x.x.x.x.x.x.x.",
    ),
    "punk": (
        "K:X.....X.X.x...x. S:....X.......X... H:X.x.X.x.X.x.X.x.",
        "K:X...X...X...X... S:..X...X...X...X. H:x.x.x.x.x.x.x.x.",
        "K:X..x..X.X..x.... S:....X.......X... O:X.x.X.x.X.x.X.x.",
    ),
    "surf": (
        "K:X.......X.X..... S:....X.X.....X... I:X.x.X.x.X.x.X.x.",
        "K:X...x...X...x... S:....X.X.....X.X. H:x.x.x.x.x.x.x.x.",
    ),
    "ska": (
        "K:....X.......X... R:....X.......X... H:..X...X...X...X.",
        "K:X.......X....... S:....X.......X... H:x.X.x.X.x.X.x.X.",
    ),
    "reggae": (
        "K:........X....... R:........X....... H:x.x.x.x.x.x.x.x.",
        "K:........X....... S:........X....... H:x.o.x.oxx.o.x.o.",
        "K:X...X...X...X... R:........X....... H:..x...x...x..xx.",
    ),
    "funk": (
        "K:X..x..x...x..x.. S:....X..o.o..X..o H:x.x.x.x.x.x.x.x.",
        "K:X.x.......x..x.. S:....X..o.o.oX... H:xxxxxxxxxxxxxxxx",
        "K:X..o..X..x..X... S:....X.o.....X.oo H:x.xxx.xxx.x.x.O.",
    ),
    "soul": (
        "K:X.....x.X....... S:....X.......X..o H:x.x.x.x.x.x.x.x. A:..x...x...x...x.",
        "K:X.x.....X.x..... S:....X.......X... A:x.x.x.x.x.x.x.x.",
        "K:X.....xx..x..... S:X...X...X...X... H:x.x.x.x.x.x.x.x.",
    ),
    "hip hop": (
        "K:X.....x..xx..... S:....X.......X... H:x.x.x.x.x.x.x.xx",
        "K:X..x......x..x.. S:....X.......X... H:x.x.xxx.x.x.x.x.",
        "K:X......xX.x..... C:....X.......X... H:xoxoxoxoxoxoxoxo",
    ),
    "trap": (
        "K:X.....x...x..... C:........X....... H:x.x.x.x.xxx.x.xx",
        "K:X..x......X..x.. C:........X....... H:xxx.x.x.x.xxxxx. O:.............x..",
        "K:X.........x.x... S:........X..... H:x.x.xxxxx.x.x.x.",
    ),
    "dubstep": (
        "K:X.........x..... S:........X....... H:x..x..x.x..x..x.",
        "K:X.....x....x.... S:........X....... H:..x...x...x...x.",
        "K:X..x......x...x. C:........X....... A:x.x.x.x.x.x.x.x.",
    ),
    "breakbeat": (
        "K:X.x.......xx.... S:....X..o.o..X..o H:x.x.x.x.x.x.x.x.",
        "K:X.....x...x..... S:....X.....o.X.o. I:x.x.x.x.x.x.x.x.",
        "K:X..x...x..x..... S:....X..x....X... H:x.x.x.x.x.x.x.O.",
    ),
    "jungle": (
        "K:X.x.......xx.... S:....X..o.o..X..o H:x.x.x.x.x.x.x.x.",
        "K:X.x.......x..... S:....X..x.x....X. I:x.x.x.x.x.x.x.x.",
        "K:..x.......xx.... S:....X..o.o..X... H:x.x.x.x.x.x.x.x.",
        "K:X.....x..x...x.. S:....X.o...o.X.ox H:xxxxxxxxxxxxxxxx",
    ),
    "drum and bass": (
        "K:X.........X..... S:....X.......X... H:x.x.x.x.x.x.x.x.",
        "K:X.........X..... S:....X..o.o..X..o I:x.x.x.x.x.x.x.x. H:..x...x...x...x.",
        "K:X..........X.... S:....X.......X.o. H:xxxxxxxxxxxxxxxx",
    ),
    "electro": (
        "K:X.....x.X....... S:....X.......X... H:xxxxxxxxxxxxxxxx W:...x..x....x..x.",
        "K:X..x..x...x..... C:....X.......X... H:x.xxx.xxx.xxx.xx",
        "K:X.....X....x.... C:....X.......X..x O:..x...x...x...x.",
    ),
    "synth": (
        "K:X.......X....... S:....X.......X... H:x.x.x.x.x.x.x.x.",
        "K:X...X...X...X... S:....X.......X... H:..x...x...x...x.",
        "K:X.....x...x..... S:....X.......X... H:xxxxxxxxxxxxxxxx U:..............xx",
    ),
    "chip": (
        "K:X...x...X...x... S:....X.......X... H:x.x.x.x.x.x.x.x.",
        "K:X..x..x.X..x.... S:....X.......X.x. H:x.xxx.xxx.xxx.xx",
        "K:X.x...x.X.x..... S:....X.......X.xx",
    ),
    "pixel": (
        "K:X.......X.x..... S:....X.......X... P:xxxxxxxxxxxxxxxx",
        "K:X.x.....X.....x. S:....X.......X... H:..x...x...x...x.",
        "S:....X.......X..x H:X.x.X.x.X.x.X.xx K:X.....x.X.......",
    ),
    "battle": (
        "K:X..x..X...x..... S:x..xX..x..x.X... L:x..x..x.x..x..x. Y:X...............",
        "K:X...X...X...X... S:xxxxXxxxxxxxXxxx",
        "L:X..X..X.X..X..X. F:..x...x...x...x. K:X.......X.......",
    ),
    "taiko": (
        "L:X.....x.X...x... F:..xx....x.xx..xx K:X.......X.......",
        "D:X..x..X.X..x..x. M:..x..x...x..x... Z:X...............",
        "F:X.xxX.xxX.xxX.x. D:X.......X.......",
    ),
    "march": (
        "D:X.......X....... S:x..xx.x.x..xx.x. Y:....x.......x...",
        "D:X...x...X...x... E:..x.x.xx..x.x.xx",
        "D:X.......X....... S:x.xxx.x.x.xxxxxx",
    ),
    "parade": (
        "D:X...X...X...X... S:..x...x...x...xx Y:X.......X.......",
        "D:X.......X....... S:....x.xx....x.xx Y:X...X...X...X...",
    ),
    "polka": (
        "K:X...X...X...X... S:..x...x...x...x. H:..x...x...x...x.",
        "K:X.......X....... S:....x.......x... H:..x...x...x...x.",
    ),
    "light": (
        "H:x.x.x.x.x.x.x.x. R:....x.......x...",
        "J:xoxoxoxoxoxoxoxo K:x.......x.......",
        "A:..x...x...x...x. N:x.......x.......",
    ),
    "soft": (
        "P:....x.......x... I:x...x.x.x...x.x.",
        "K:x.......x....... R:....x.......x... J:x.x.x.x.x.x.x.x.",
        "n:x.......x....... A:....x.......x...",
    ),
    "bossa": (
        "K:X.....x.X.....x. R:X.....X.....X... H:x.x.x.x.x.x.x.x.",
        "K:X.....xxX.....xx R:..X...X...X..X.. J:xxxxxxxxxxxxxxxx",
    ),
    "latin": (
        "G:..x...xx..x...xx V:X..X..X...X.X... J:x.x.x.x.x.x.x.x. K:X.....x.X.....x.",
        "W:X...X...X...X... G:......xx......xx q:x..x..x.x..x..x.",
        "b:x.o.x.oxx.o.x.ox K:X......xX......x V:..X.X...X..X..X.",
    ),
    "samba": (
        "K:X..xX..xX..xX..x A:xxxxxxxxxxxxxxxx S:x..x..x.x.x..x..",
        "D:....X.......X..x J:xxxxxxxxxxxxxxxx R:x.xx.x.xx.xx.x.x",
    ),
    "desert": (
        "G:X..x..X.X...X.xx A:....x.......x... D:X.......X.......",
        "q:X.xx..X.X.x.X... N:x.x.x.x.x.x.x.x.",
    ),
    "country": (
        "K:X.......X....... S:....X.......X... H:x...x.x.x...x.x.",
        "K:X...X...X...X... S:..X...X...X...X. H:..x...x...x...x.",
        "S:x.ooX.oox.ooX.oo K:X.......X.......",
    ),
    # Triplets in 4/4: twelve steps.
    "swing": (
        "I:X..x.xX..x.x P:...x.....x.. K:x........... R:..........x.",
        "I:x..X.xx..X.x P:...X.....X.. S:..o.....o..x K:x.....x.....",
    ),
    "shuffle": (
        "K:X.....X..... S:...X.....X.. H:x.xx.xx.xx.x",
        "K:X.x...X.x... S:...X..o..X.o I:x.xx.xx.xx.x",
        "K:X..X..X..X.. S:...X.....X.. H:x.xx.xx.xx.x",
    ),
    "boogie": (
        "K:X..x..X..x.. S:..oX.o..oX.o I:x.xx.xx.xx.x",
        "K:X.....X.x... S:...X.....X.x H:x.xx.xx.xx.x",
    ),
    "twelve": (
        "K:X.....X.x... S:...X.....X.. H:xxxxxxxxxxxx",
        "K:X....xX..... R:...X.....X.. H:x.xx.xx.xx.x",
        "K:X.....X..... S:...X.....X.. I:xxxxxxxxxxxx",
    ),
    "slow twelve": (
        "K:X....xX..... S:...X.....X.. H:xoxxoxxoxxox",
        "K:X........x.. R:...X.....X.o I:x.xx.xx.xx.x",
    ),
    # 6/8: two beats of three.
    "jig": (
        "D:X..x.. E:..x..x A:x.xx.x",
        "K:X..X.. S:..o..x H:xxxxxx",
        "D:X....x S:x.xx.x",
    ),
    "shanty": ("K:X..... S:...X.. A:x.xx.x", "D:X..x.. H:xoxxox", "K:X....x C:...X.."),
    "tarantella": (
        "A:xxxxxx D:X..X..",
        "A:X.xX.x K:X..... S:...x..",
        "K:X..X.. H:xoxxox",
    ),
    # 3/4.
    "waltz": (
        "K:X........... S:....x...x... H:....x...x...",
        "K:X........... P:....x...x... I:x...x.x.x...",
        "D:X........... R:....x...x.x.",
    ),
    "rock waltz": (
        "K:X.....x..... S:....X...X... H:x.x.x.x.x.x.",
        "K:X......... S:........X... H:x.x.x.x.x.x.",
        "K:X..x........ S:....X...X.x. I:x.x.x.x.x.x.",
    ),
    "carousel": ("D:X........... A:....x...x...", "n:X........... Y:....o...o..."),
    # 5/4 and 7/4.
    "five": (
        "K:X.....x.....X....... S:....X.......X...X... I:x.x.x.x.x.x.x.x.x.x.",
        "K:X.....X.....X...X... S:........X.......X... H:x.x.x.x.x.x.x.x.x.x.",
    ),
    "seven": (
        "K:X.......X.......X...x....... S:....X.......X.......X...X... "
        "H:x.x.x.x.x.x.x.x.x.x.x.x.x.x.",
        "K:X.....x.X.....x.X.......X... S:....X.......X.......X....... "
        "I:x.x.x.x.x.x.x.x.x.x.x.x.x.x.",
    ),
}


def play(
    rng: np.random.Generator,
    names: Sequence[str],
    bars: Sequence[Bar],
    beats_per_bar: int,
    division: int,
    is_half_time: bool = False,
) -> list[Note]:
    """Play drums over bars: a pattern per section letter, with fills in between.

    In half time a pattern takes two bars, except for its hi-hats.
    """
    chosen: dict[str, dict[str, str]] = {}
    notes: list[Note] = []
    fills = float(rng.choice([0.5, 0.9]))
    for index, bar in enumerate(bars):
        letter = bar.section[0]
        if letter not in chosen:
            group = PATTERNS[str(rng.choice(list(names)))]
            chosen[letter] = _read(str(rng.choice(group)))
            if is_half_time:
                chosen[letter] = _halved(chosen[letter])
        begin = float(index * beats_per_bar)
        is_last = index + 1 == len(bars) or bars[index + 1].section != bar.section
        is_fourth = index % 4 == 3
        length = beats_per_bar * division
        end = length
        if (is_last and rng.random() < fills) or (is_fourth and rng.random() < 0.3):
            end -= division * int(rng.integers(1, min(beats_per_bar, 3) + (is_last)))
            end = max(end, 0)
            notes += _fill(rng, begin + end / division, begin + beats_per_bar, division)
        for voice, steps in chosen[letter].items():
            for at in range(end):
                level = _LEVELS.get(steps[(index * length + at) % len(steps)], 0)
                if level and not (level < 60 and rng.random() < 0.3):
                    notes.append(_hit(rng, VOICES[voice], begin + at / division, level))
        is_first = index == 0 or bars[index - 1].section != bar.section
        if is_first and rng.random() < 0.6:
            notes.append(_hit(rng, VOICES["Y"], begin, 105))
    return notes


def _read(pattern: str) -> dict[str, str]:
    return dict(part.split(":") for part in pattern.split())


def _halved(voices: dict[str, str]) -> dict[str, str]:
    """Stretch all voices to twice their length, except those that keep the time."""
    return {
        voice: steps if voice in "HIJA" else "".join(f"{step}." for step in steps)
        for voice, steps in voices.items()
    }


def _hit(rng: np.random.Generator, pitch: int, beat: float, level: float) -> Note:
    velocity = int(np.clip(level + rng.normal(0, 6), 8, 127))
    return Note(beat, 0.1, pitch, velocity)


def _fill(
    rng: np.random.Generator, begin: float, end: float, division: int
) -> list[Note]:
    """Play a fill on snare and toms, in the division or in triplets against it."""
    step = 1 / division
    if division == 4 and rng.random() < 0.25:
        step = float(rng.choice([1 / 3, 1 / 6]))
    elif rng.random() < 0.2:
        step /= 2
    count = round((end - begin) / step)
    drums = [38, 48, 45, 43, 41] if rng.random() < 0.7 else [38, 38, 40, 38, 38]
    density = float(rng.choice([0.6, 0.85, 1.0]))
    return [
        _hit(
            rng,
            drums[i * len(drums) // max(count, 1)],
            begin + i * step,
            85 + 25 * i / count,
        )
        for i in range(count)
        if rng.random() < density
    ]
