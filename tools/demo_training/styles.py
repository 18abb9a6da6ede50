"""The material of composed songs: styles, scales, progressions and instruments."""

from tools.demo_training.notes import Style

BASS_PROGRAMS = range(32, 40)

STYLES = (
    Style("pop", (90, 130), "straight", ("eighths", "roots", "syncopated")),
    Style("rock", (100, 180), "straight", ("eighths", "fifths", "riff")),
    Style("funk", (85, 120), "straight", ("syncopated", "octaves", "riff")),
    Style("swing", (100, 200), "swing", ("walking", "fifths", "riff")),
    Style("latin", (85, 140), "straight", ("tumbao", "fifths", "syncopated")),
    Style("electronic", (110, 150), "straight", ("octaves", "eighths", "riff")),
    Style("ballad", (60, 90), "straight", ("roots", "fifths", "arpeggio")),
    Style("blues", (80, 150), "swing", ("walking", "arpeggio", "riff")),
    Style("orchestral", (60, 130), "straight", ("roots", "pedal", "arpeggio")),
    Style("march", (100, 125), "straight", ("fifths", "roots", "walking")),
    Style("waltz", (90, 170), "straight", ("roots", "fifths", "walking"), 3),
    Style("country", (110, 200), "straight", ("fifths", "walking", "eighths")),
)

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (0, 3, 4, 3),
    (1, 4, 0, 0),
    (0, 6, 5, 4),
    (0, 0, 3, 0, 4, 3, 0, 4),
    (0, 2, 3, 4),
    (5, 3, 0, 4),
    (0, 0, 0, 0),
    (0, 0, 3, 3),
    (2, 5, 1, 4),
)

KEYS = (*range(0, 8), *range(16, 24))
GUITARS = tuple(range(24, 32))
STRINGS = (*range(40, 55),)
BRASS = tuple(range(56, 64))
REEDS = tuple(range(64, 80))
LEADS = tuple(range(80, 88))
PADS = tuple(range(88, 104))
MALLETS = (*range(8, 16), *range(104, 115))
EVERYTHING = (*range(0, 32), *range(40, 120))
# Low instruments, which the model must not take for a bass.
LOW = (0, 1, 2, 5, 7, 16, 19, 26, 27, 28, 30, 42, 43, 45, 47, 57, 58, 60, 66, 67, 70)
FAMILIES = {
    "comping": KEYS + GUITARS + MALLETS,
    "arpeggio": KEYS + GUITARS + MALLETS + LEADS + (45, 46),
    "pad": STRINGS + PADS + KEYS + BRASS,
    "melody": EVERYTHING,
    "riff": GUITARS + BRASS + REEDS + LEADS + KEYS,
    "stride": (*KEYS, *GUITARS, 46, 21),
    "low": LOW + LEADS + (48, 49, 50, 51, 90),
}
