"""What is composed: styles, each of one part of the list only."""

from dataclasses import dataclass
from types import MappingProxyType

STRAIGHT = (0.5, 0.5)
KEYS = (0, 1, 2, 4, 5, 6)
ORGANS = (16, 17, 18, 19, 21)
GUITARS = (24, 25, 26, 27, 28)
DRIVEN = (29, 30)
STRINGS = (40, 41, 44, 45, 48, 49, 50)
VOICES = (52, 53, 54, 85, 91)
BRASS = (56, 57, 60, 61, 62, 63)
REEDS = (64, 65, 66, 68, 71)
PIPES = (72, 73, 74, 75, 79)
CHIPS = (80, 81, 82, 84, 87)
PADS = (88, 89, 90, 92, 94, 95)
MALLETS = (8, 9, 10, 11, 12, 13, 14)
PLUCKED = (6, 15, 46, 104, 105, 107)
ACOUSTIC_BASS, ELECTRIC_BASS, SYNTH_BASS = (32, 43), (33, 34, 36), (38, 39, 87)

# Modes by how often they are drawn.
Modes = tuple[tuple[str, float], ...]
MAJOR: Modes = (("major", 1.0),)
MINOR: Modes = (("minor", 1.0),)
BOTH: Modes = (("major", 0.5), ("minor", 0.5))
DARK: Modes = (("minor", 0.75), ("phrygian", 0.1), ("dorian", 0.15))
MODAL: Modes = (("dorian", 0.35), ("mixolydian", 0.3), ("major", 0.2), ("minor", 0.15))
BLUES: Modes = (("blues", 0.7), ("minor blues", 0.3))
EAST: Modes = (("phrygian", 0.5), ("minor", 0.5))
WIDE: Modes = (
    *(("major", 0.4), ("minor", 0.4), ("dorian", 0.08), ("mixolydian", 0.07)),
    ("lydian", 0.05),
)


@dataclass(frozen=True)
class Style:
    """How a kind of music goes. Bars are (beats, steps to a beat).

    `swing` is the range of the share of the first of two eighths (or sixteenths where
    `swung` is 4). `drums` are patterns; a style may do without them.
    """

    name: str
    family: str
    part: str
    bpm: tuple[float, float]
    drums: tuple[str, ...]
    bass: tuple[str, ...]
    comps: tuple[str, ...]
    comp_programs: tuple[int, ...]
    lead_programs: tuple[int, ...]
    tunes: tuple[str, ...] = ("plain", "busy", "syncopated")
    modes: Modes = WIDE
    bar: tuple[int, int] = (4, 4)
    bass_programs: tuple[int, ...] = ELECTRIC_BASS
    kits: tuple[int, ...] = (0,)
    swing: tuple[float, float] = STRAIGHT
    swung: int = 2
    sevenths: float = 0.1
    lead_chance: float = 0.85
    no_drums: float = 0.0
    jitter_ms: tuple[float, float] = (0.0, 8.0)
    bars_per_chord: tuple[int, ...] = (1, 1, 1, 2)
    traits: tuple[str, ...] = ()


def _styles() -> tuple[Style, ...]:
    tight = (0.0, 2.0)
    loose = (2.0, 14.0)
    return (
        # train
        Style("techno", "dance", "train", (122, 150), ("techno",), ("off", "sixteenths", "pedal", "sub"), ("stabs", "fast arpeggio", "pad"), (*CHIPS, *PADS, 50), CHIPS, modes=DARK, bass_programs=SYNTH_BASS, kits=(24, 25), jitter_ms=tight, lead_chance=0.5, bars_per_chord=(1, 2, 2, 4)),
        Style("house", "dance", "train", (116, 130), ("four floor",), ("off", "syncopated", "octaves"), ("stabs", "off", "pad"), (0, 2, 4, 16, 50, 89), (80, 81, 11, 65, 53), bass_programs=(33, 38, 39), kits=(24, 25, 8), sevenths=0.5, jitter_ms=tight),
        Style("jungle", "breaks", "train", (156, 180), ("jungle",), ("sub", "late", "half", "riff"), ("pad", "stabs", "arpeggio"), (*PADS, 4, 11, 50), (*CHIPS, 73, 11, 53), bass_programs=SYNTH_BASS, kits=(24, 0, 8), modes=DARK, sevenths=0.3, lead_chance=0.6),
        Style("trap", "hip hop", "train", (128, 152), ("trap",), ("sub", "late"), ("pad", "broken", "arpeggio", "against"), (10, 14, 46, 89, 0), (80, 75, 11, 52), modes=DARK, bass_programs=SYNTH_BASS, kits=(25, 24), jitter_ms=tight, traits=("half-time",), bars_per_chord=(1, 2)),
        Style("synthpop", "pop", "train", (96, 132), ("synth",), ("eighths", "octaves", "sixteenths"), ("pad", "arpeggio", "stabs", "eighths"), (50, 81, 88, 90, 5, 62), CHIPS, bass_programs=SYNTH_BASS, kits=(24, 25, 16)),
        Style("arcade", "chiptune", "train", (130, 196), ("pixel",), ("eighths", "octaves", "gallop", "walk"), ("fast arpeggio", "arpeggio", "stabs", "against"), (80, 81, 82, 6), (80, 81, 82), ("busy", "fast", "syncopated"), bass_programs=(38, 39, 80, 87), kits=(24, 25, 0), jitter_ms=(0, 1), no_drums=0.1),
        Style("village", "game", "train", (76, 126), ("light", "soft"), ("half", "two", "quarters", "arpeggio"), ("arpeggio", "broken", "alberti", "pad", "strum"), (*GUITARS[:2], 46, 0, 12, 48, 45), (*PIPES, 68, 71, 40, 22), ("calm", "plain", "busy"), modes=MAJOR, bass_programs=ACOUSTIC_BASS, no_drums=0.4, jitter_ms=loose),
        Style("dungeon", "game", "train", (54, 96), ("taiko", "light"), ("whole", "pedal", "half", "late"), ("pad", "broken", "arpeggio", "against"), (48, 49, 52, 19, 95, 46), (68, 42, 53, 69, 14, 79), ("calm", "plain"), modes=DARK, bass_programs=(43, 42, 38), no_drums=0.5),
        Style("battle", "game", "train", (132, 190), ("battle", "double kick", "hard rock"), ("gallop", "eighths", "sixteenths", "riff"), ("stabs", "fast arpeggio", "chug", "pad", "arpeggio"), (48, 49, 61, 30, 29, 60), (56, 61, 48, 30, 81, 60), ("busy", "syncopated", "plain"), modes=DARK, kits=(48, 0, 16)),
        Style("world map", "game", "train", (92, 150), ("parade", "rock", "light"), ("oompah", "eighths", "quarters", "arpeggio"), ("stabs", "off", "arpeggio", "pad", "sixteenths"), (48, 60, 61, 45, 0), (56, 73, 48, 60, 68), ("plain", "busy", "calm"), kits=(48, 0)),
        Style("power rock", "rock", "train", (126, 182), ("hard rock", "double kick"), ("eighths", "gallop", "quarters"), ("power", "chug", "pad"), DRIVEN, (30, 29, 84, 61), ("busy", "plain", "fast"), modes=DARK, kits=(16, 0)),
        Style("rock", "rock", "train", (96, 150), ("rock",), ("eighths", "riff", "syncopated", "quarters"), ("power", "strum", "eighths", "off"), (27, 29, 30, 16, 0), (30, 29, 27, 65, 18), kits=(0, 16, 8)),
        Style("punk", "rock", "train", (160, 212), ("punk",), ("eighths", "quarters"), ("power", "chug"), DRIVEN, (29, 30, 27), modes=MAJOR, kits=(16, 0), jitter_ms=loose),
        Style("surf", "rock", "train", (140, 178), ("surf",), ("eighths", "walk", "quarters"), ("strum", "backbeat", "eighths"), (26, 27, 16), (26, 27, 65), modes=WIDE),
        Style("funk", "funk", "train", (88, 118), ("funk",), ("syncopated", "late", "octaves", "riff"), ("stabs", "charleston", "skank"), (27, 28, 4, 7, 16, 61), (65, 66, 61, 81, 27), ("syncopated", "busy"), modes=MODAL, sevenths=0.7, swing=(0.5, 0.58), swung=4, jitter_ms=loose),
        Style("reggae", "reggae", "train", (66, 96), ("reggae",), ("late", "syncopated", "tresillo"), ("skank", "off", "backbeat"), (16, 27, 0), (22, 65, 56, 16), ("plain", "syncopated"), sevenths=0.2, jitter_ms=loose),
        Style("polka", "folk", "train", (104, 140), ("polka",), ("oompah", "two"), ("off", "stabs"), (21, 22, 24, 58, 61), (21, 71, 56, 22, 73), ("busy", "plain", "fast"), modes=MAJOR, bass_programs=(58, 32, 43)),
        Style("ballroom waltz", "waltz", "train", (84, 178), ("waltz",), ("whole",), ("waltz",), (0, 48, 21, 46, 45), (40, 73, 71, 48, 21), ("calm", "plain", "busy"), bar=(3, 4), bass_programs=ACOUSTIC_BASS, no_drums=0.3, jitter_ms=loose),
        Style("tarantella", "compound", "train", (104, 160), ("tarantella",), ("quarters", "half"), ("triplets", "off", "quarters"), (24, 21, 45, 105), (71, 40, 73, 22), ("busy", "plain", "fast"), bar=(2, 3), bass_programs=ACOUSTIC_BASS),
        Style("gospel twelve", "compound", "train", (48, 80), ("slow twelve",), ("half", "walk", "triplets"), ("triplets", "quarters", "broken"), (0, 16, 18, 4), (65, 52, 53, 18, 56), ("calm", "plain", "syncopated"), bar=(4, 3), sevenths=0.4, jitter_ms=loose),
        Style("swing combo", "jazz", "train", (104, 208), ("swing",), ("walk",), ("charleston", "swung", "off"), (0, 26, 11, 16), (65, 66, 56, 71, 11), ("busy", "syncopated", "plain"), bar=(4, 3), sevenths=0.9, bass_programs=(32,), kits=(32, 0, 40), jitter_ms=loose),
        Style("country two", "country", "train", (84, 140), ("country",), ("two", "oompah", "walk"), ("strum", "backbeat", "off", "broken"), (24, 25, 105, 0), (22, 40, 105, 26), modes=MAJOR, jitter_ms=loose),
        Style("samba pop", "latin", "train", (88, 124), ("samba",), ("tresillo", "tumbao", "two"), ("stabs", "charleston", "strum"), (24, 0, 4), (73, 65, 56, 57), ("syncopated", "busy"), sevenths=0.7, bass_programs=(32, 33)),
        Style("piano ballad", "solo", "train", (52, 92), (), ("half", "whole", "quarters"), ("broken", "alberti", "arpeggio", "quarters"), (0, 1, 4), (0, 1), ("calm", "plain"), bass_programs=(0, 1), sevenths=0.3, no_drums=1.0, jitter_ms=(6.0, 20.0)),
        Style("baroque etude", "solo", "train", (66, 124), (), ("quarters", "eighths", "walk"), ("alberti", "fast arpeggio", "arpeggio"), (6, 19, 0, 7), (6, 19, 73, 40), ("busy", "fast"), bass_programs=(6, 19, 42), no_drums=1.0, modes=BOTH),
        Style("hymn", "voice", "train", (56, 100), (), ("quarters", "half"), ("quarters", "pad"), (52, 19, 48, 53), (52, 53, 54), ("calm", "plain"), bass_programs=(52, 19, 43), no_drums=1.0, modes=BOTH, jitter_ms=(4, 18), lead_chance=1.0),
        Style("slow rock six", "compound", "train", (44, 72), ("slow twelve", "twelve"), ("half", "triplets"), ("triplets", "broken", "pad"), (27, 0, 16, 48), (30, 65, 61, 29), ("plain", "syncopated", "calm"), bar=(4, 3), jitter_ms=loose),
        Style("odd five", "odd", "train", (110, 180), ("five",), ("quarters", "eighths", "riff"), ("stabs", "arpeggio", "eighths"), (0, 27, 4, 61), (65, 11, 81, 56), bar=(5, 4), modes=DARK),
        # tune
        Style("electro", "dance", "tune", (108, 134), ("electro",), ("octaves", "syncopated", "off"), ("stabs", "arpeggio", "pad"), (50, 81, 62, 4), CHIPS, modes=DARK, bass_programs=SYNTH_BASS, kits=(25, 24), jitter_ms=tight),
        Style("stage one", "chiptune", "tune", (126, 184), ("pixel", "rock"), ("octaves", "eighths", "syncopated"), ("arpeggio", "fast arpeggio", "off"), (80, 81, 50, 29), (80, 81, 84, 56), ("busy", "syncopated", "plain"), bass_programs=(33, 38), kits=(0, 16, 24)),
        Style("airship", "game", "tune", (84, 150), ("parade", "taiko", "light"), ("gallop", "oompah", "half"), ("sixteenths", "arpeggio", "pad", "stabs"), (48, 45, 60, 46), (60, 73, 48, 56), kits=(48,), no_drums=0.25),
        Style("rhumba night", "latin", "tune", (92, 132), ("latin",), ("tumbao", "tresillo"), ("charleston", "stabs", "montuno"), (0, 24, 12), (73, 56, 57, 66), ("syncopated", "plain"), sevenths=0.5, bass_programs=(32,)),
        Style("shuffle pop", "shuffle", "tune", (88, 150), ("shuffle",), ("shuffle", "walk", "quarters"), ("off", "shuffle", "backbeat", "quarters"), (0, 16, 27), (65, 22, 81, 56), ("plain", "busy", "syncopated"), bar=(4, 3), sevenths=0.2),
        Style("string quartet", "solo", "tune", (60, 130), (), ("quarters", "half", "eighths"), ("off", "sixteenths", "pad", "alberti"), (40, 41, 48), (40, 40, 41), ("plain", "busy", "calm"), bass_programs=(42,), no_drums=1.0, jitter_ms=(5, 16), modes=BOTH),
        # score
        Style("trance", "dance", "score", (130, 146), ("trance",), ("off", "sixteenths", "octaves"), ("fast arpeggio", "pad", "against", "arpeggio"), (81, 90, 50, 88), (81, 80, 84), modes=MINOR, bass_programs=SYNTH_BASS, kits=(24, 25), jitter_ms=tight),
        Style("disco", "dance", "score", (106, 132), ("disco",), ("octaves", "syncopated", "eighths"), ("off", "stabs", "pad"), (27, 28, 0, 4, 48), (48, 61, 65, 53), sevenths=0.5, kits=(0, 8)),
        Style("drum and bass", "breaks", "score", (160, 182), ("drum and bass",), ("sub", "late", "riff", "syncopated"), ("pad", "stabs", "arpeggio", "off"), (*PADS, 4, 50), (81, 73, 11, 65), modes=DARK, bass_programs=SYNTH_BASS, kits=(0, 24), sevenths=0.4, lead_chance=0.6),
        Style("breakbeat", "breaks", "score", (112, 142), ("breakbeat",), ("riff", "syncopated", "late"), ("stabs", "pad", "charleston"), (16, 62, 81, 29), (81, 29, 65, 56), modes=DARK, bass_programs=(38, 33, 39), kits=(24, 0)),
        Style("dubstep", "hip hop", "score", (134, 146), ("dubstep",), ("sub", "late", "gallop"), ("pad", "stabs", "against"), (90, 81, 87, 52), (81, 80, 87), modes=DARK, bass_programs=SYNTH_BASS, kits=(24, 25), jitter_ms=tight, traits=("half-time",), bars_per_chord=(1, 2)),
        Style("hip hop", "hip hop", "score", (78, 104), ("hip hop",), ("late", "sub", "syncopated"), ("charleston", "broken", "stabs", "pad"), (4, 0, 11, 26), (73, 65, 53, 11), modes=DARK, sevenths=0.6, swing=(0.5, 0.62), swung=4, kits=(0, 25, 8), jitter_ms=loose),
        Style("synthwave", "pop", "score", (78, 122), ("synth",), ("eighths", "octaves", "sixteenths"), ("arpeggio", "pad", "fast arpeggio"), (81, 90, 50, 88), (80, 81, 84), modes=MINOR, bass_programs=(38, 39), kits=(25, 24)),
        Style("platformer", "chiptune", "score", (128, 196), ("chip",), ("eighths", "oompah", "octaves", "walk", "riff"), ("fast arpeggio", "stabs", "against", "off"), (80, 81, 12, 6), (80, 81, 75, 78), ("busy", "syncopated", "fast"), modes=MAJOR, bass_programs=(38, 32, 33, 80), kits=(0, 24), jitter_ms=(0, 2)),
        Style("racing", "game", "score", (150, 192), ("hard rock", "breakbeat", "chip"), ("sixteenths", "riff", "octaves", "gallop"), ("stabs", "fast arpeggio", "power", "off"), (29, 30, 62, 17, 81), (84, 30, 62, 65), ("busy", "syncopated", "fast"), modes=WIDE, kits=(16, 24, 0)),
        Style("boss", "game", "score", (140, 200), ("double kick", "battle"), ("gallop", "riff", "sixteenths", "pedal"), ("chug", "stabs", "against", "pad", "sixteenths"), (30, 49, 61, 19), (61, 30, 56, 52), ("syncopated", "busy"), modes=DARK, kits=(16, 48)),
        Style("caves", "game", "score", (60, 110), ("light", "soft"), ("late", "pedal", "arpeggio", "half"), ("arpeggio", "broken", "against", "pad"), (11, 98, 46, 89, 14), (79, 73, 53, 98), ("calm", "plain", "syncopated"), modes=DARK, bass_programs=(32, 38, 35), no_drums=0.45),
        Style("desert", "game", "score", (84, 140), ("desert",), ("late", "riff", "quarters"), ("strum", "stabs", "arpeggio"), (104, 107, 24, 48), (68, 71, 111, 78), ("busy", "plain", "syncopated"), modes=EAST, bass_programs=ACOUSTIC_BASS, no_drums=0.1),
        Style("shop", "game", "score", (92, 160), ("bossa", "soft"), ("two", "tresillo", "walk"), ("charleston", "off", "stride", "stabs"), (0, 4, 11, 26, 12), (73, 11, 75, 71), ("syncopated", "plain", "busy"), modes=MAJOR, sevenths=0.8, bass_programs=(32, 33), no_drums=0.1, swing=(0.5, 0.6)),
        Style("overture", "game", "score", (66, 144), ("march", "taiko"), ("half", "quarters", "gallop", "whole"), ("sixteenths", "pad", "stabs", "against"), (48, 49, 45, 60), (56, 60, 48, 68), ("plain", "calm", "busy"), bass_programs=(43, 42, 58), kits=(48,), no_drums=0.45, jitter_ms=(3, 14)),
        Style("metal", "rock", "score", (136, 204), ("double kick", "punk"), ("gallop", "eighths", "sixteenths"), ("chug", "power"), DRIVEN, (30, 29, 84), ("fast", "busy", "syncopated"), modes=DARK, kits=(16,)),
        Style("stadium rock", "rock", "score", (84, 160), ("rock", "hard rock"), ("eighths", "quarters", "riff"), ("power", "eighths", "strum", "pad"), (29, 30, 18, 27), (30, 29, 61, 18), kits=(16, 0)),
        Style("ska", "reggae", "score", (126, 176), ("ska",), ("walk", "quarters", "eighths"), ("off", "skank"), (27, 16, 0), (57, 66, 56, 61), ("plain", "syncopated", "busy"), modes=MAJOR),
        Style("soul", "funk", "score", (84, 132), ("soul",), ("syncopated", "walk", "late"), ("backbeat", "charleston", "stabs", "quarters"), (0, 16, 27, 61), (66, 56, 53, 61), ("syncopated", "plain"), sevenths=0.4, jitter_ms=loose),
        Style("march", "march", "score", (96, 132), ("march", "parade"), ("oompah", "two"), ("off", "stabs"), (61, 58, 60, 71), (56, 72, 61, 73), ("plain", "busy"), modes=MAJOR, bass_programs=(58, 43), kits=(48, 0)),
        Style("jig", "compound", "score", (96, 136), ("jig",), ("quarters", "half"), ("quarters", "off", "pad"), (24, 46, 21, 105), (73, 40, 110, 75), ("busy", "fast", "plain"), modes=MODAL, bar=(2, 3), bass_programs=ACOUSTIC_BASS, no_drums=0.25, jitter_ms=loose),
        Style("shanty", "compound", "score", (64, 104), ("shanty",), ("quarters", "half"), ("quarters", "triplets", "broken"), (21, 24, 45, 22), (22, 73, 40, 52), ("plain", "busy"), modes=MODAL, bar=(2, 3), bass_programs=ACOUSTIC_BASS, no_drums=0.15, jitter_ms=loose),
        Style("slow blues", "compound", "score", (44, 72), ("slow twelve",), ("walk", "half", "boogie"), ("triplets", "charleston", "pad"), (0, 16, 27), (26, 30, 65, 22), ("plain", "syncopated", "busy"), modes=BLUES, bar=(4, 3), jitter_ms=loose),
        Style("boogie", "shuffle", "score", (120, 190), ("boogie", "shuffle"), ("boogie", "shuffle", "walk"), ("off", "swung", "shuffle"), (0, 1, 26), (0, 65, 22, 26), ("busy", "plain", "syncopated"), modes=BLUES, bar=(4, 3), bass_programs=(0, 32), jitter_ms=loose),
        Style("carousel", "waltz", "score", (120, 200), ("carousel",), ("whole",), ("waltz",), (21, 19, 9, 20), (20, 9, 74, 22), ("plain", "busy", "calm"), modes=MAJOR, bar=(3, 4), bass_programs=(19, 58), no_drums=0.4),
        Style("rock waltz", "waltz", "score", (88, 170), ("rock waltz",), ("eighths", "quarters", "whole"), ("arpeggio", "strum", "waltz", "power"), (27, 24, 29, 0), (30, 48, 65, 81), bar=(3, 4)),
        Style("music box", "solo", "score", (66, 120), (), ("whole", "half"), ("arpeggio", "broken"), (10, 8, 46), (10, 9, 98), ("calm", "plain", "busy"), modes=MAJOR, bass_programs=(46, 10), no_drums=1.0, jitter_ms=(0, 10)),
        Style("nocturne", "solo", "score", (46, 86), (), ("whole", "half"), ("broken", "arpeggio"), (0, 1), (0, 1), ("calm", "plain", "syncopated"), bass_programs=(0,), sevenths=0.3, no_drums=1.0, jitter_ms=(8, 22), modes=BOTH),
        Style("chorale", "voice", "score", (58, 104), (), ("quarters",), ("quarters", "eighths"), (52, 53, 91), (52, 54, 53), ("calm", "plain"), bass_programs=(52, 53), no_drums=1.0, jitter_ms=(4, 18), modes=BOTH, lead_chance=1.0),
        Style("seven", "odd", "score", (120, 190), ("seven",), ("quarters", "eighths", "riff"), ("stabs", "arpeggio", "chug"), (27, 29, 81, 4), (81, 30, 65), bar=(7, 4), modes=DARK),
    )


STYLES = MappingProxyType({style.name: style for style in _styles()})
