"""What MMA arranges: grooves of its library, each style of one part of the list only.

Tempi are those that a listener taps. Grooves in six count eighths, and are tapped in
dotted quarters.
"""

from dataclasses import dataclass
from types import MappingProxyType

from tools.music.styles import BLUES, BOTH, DARK, MAJOR, WIDE, Modes


@dataclass(frozen=True)
class GrooveStyle:
    """A groove's file below /usr/share/mma/lib, what to play of it, and how fast.

    `beats` are a bar's as MMA counts, `unit` how many of them are a listener's one.
    """

    name: str
    family: str
    part: str
    file: str
    grooves: tuple[str, ...]
    bpm: tuple[float, float]
    fill: str = ""
    intro: str = ""
    end: str = ""
    beats: int = 4
    unit: int = 1
    division: int = 4
    sevenths: float = 0.2
    modes: Modes = WIDE


def _g(
    part: str,
    family: str,
    name: str,
    file: str,
    grooves: str,
    bpm: tuple[float, float],
    more: str = "",
    **others: object,
) -> GrooveStyle:
    """Read a style; `more` are its fill, intro and end, "-" where it has none."""
    fill, intro, end = ((*more.split(), "", "", "") if more else ("", "", ""))[:3]
    return GrooveStyle(
        name,
        family,
        part,
        file,
        tuple(grooves.split()),
        bpm,
        fill.strip("-"),
        intro.strip("-"),
        end.strip("-"),
        **others,  # type: ignore[arg-type]
    )


_JAZZ = {"division": 3, "sevenths": 0.9}
_SHUFFLE = {"division": 3, "sevenths": 0.3}
_WALTZ = {"beats": 3}
_SIX = {"beats": 6, "unit": 3, "division": 3}


def _styles() -> tuple[GrooveStyle, ...]:
    return (
        # train
        _g("train", "jazz", "mma big band", "stdlib/bigband", "BigBand BigBand1 BigBandPlus", (100, 190), "BigBandFill BigBandIntro BigBandEnd", **_JAZZ),
        _g("train", "jazz", "mma bebop", "stdlib/bebop", "Bebop BebopPlus BebopSus", (150, 215), "- BebopIntro BebopEnd", **_JAZZ),
        _g("train", "jazz", "mma jazz guitar", "stdlib/jazzguitar", "JazzGuitar JazzGuitarWalk JazzGuitar1", (84, 160), "JazzGuitarFill JazzGuitarIntro JazzGuitarEnd", **_JAZZ),
        _g("train", "jazz", "mma slow swing", "casio/slowswing", "SlowSwing", (60, 100), "- SlowSwingIntro SlowSwingEnd", **_JAZZ),
        _g("train", "jazz", "mma ragtime", "stdlib/ragtime", "RagTime RagtimePlus", (84, 150), "- RagtimeIntro RagtimeEnd", sevenths=0.4, modes=MAJOR),
        _g("train", "shuffle", "mma pop shuffle", "casio/popshuffle1", "PopShuffle1", (88, 140), "- PopShuffle1Intro PopShuffle1End", **_SHUFFLE),
        _g("train", "shuffle", "mma shuffle boogie", "stdlib/shuffleboggie", "ShuffleBoggie ShuffleBoggie1", (110, 170), "ShuffleBoggieFill ShuffleBoggieIntro ShuffleBoggieEnd", modes=BLUES, division=3),
        _g("train", "waltz", "mma waltz", "stdlib/waltz", "Waltz Waltz1 WaltzWalk", (90, 190), "- WaltzIntro WaltzEnd", **_WALTZ),
        _g("train", "waltz", "mma country waltz", "stdlib/countrywaltz", "CountryWaltz CountryWaltz1 CountryWaltzWalk", (84, 150), "- CountryWaltzIntro CountryWaltzEnd", modes=MAJOR, **_WALTZ),
        _g("train", "compound", "mma six ballad", "casio/68ballad", "68Ballad", (44, 76), "- 68BalladIntro 68BalladEnd", **_SIX),
        _g("train", "compound", "mma rock twelve", "stdlib/rock-128", "Rock128 Rock128Plain Rock128Plus", (50, 110), "- Rock128Intro Rock128End", division=3),
        _g("train", "latin", "mma bossa", "stdlib/bossanova", "BossaNova BossaNovaSus", (100, 160), "", sevenths=0.8),
        _g("train", "latin", "mma rhumba", "stdlib/rhumba", "Rhumba Rhumba1 Rhumba2", (84, 136), "- RhumbaIntro RhumbaEnd", sevenths=0.4),
        _g("train", "latin", "mma merengue", "stdlib/merengue", "Merengue Merengue1 Merengue2", (116, 168), "- MerengueIntro MerengueEnd"),
        _g("train", "latin", "mma salsa", "stdlib/salsa", "Salsa SalsaPlus", (150, 206), "SalsaFill SalsaIntro SalsaEnd", sevenths=0.5),
        _g("train", "latin", "mma bolero", "stdlib/bolero", "Bolero", (66, 110), ""),
        _g("train", "rock", "mma basic rock", "stdlib/basicrock", "BasicRock BasicRock4 BasicRockSus", (84, 170), "- BasicRockIntro BasicRockEnd"),
        _g("train", "rock", "mma soft rock", "stdlib/softrock", "SoftRock SoftRock1 SoftRock2", (80, 140), "SoftRockFill SoftRockIntro SoftRockEnd"),
        _g("train", "rock", "mma fifties rock", "stdlib/50srock", "50sRock 50sRock1 50sRockPlus", (110, 190), "- 50sRockIntro 50sRockEnd"),
        _g("train", "rock", "mma metal", "pflib/metal1", "metal1A metal1B", (110, 190), "metal1FA - metal1E", modes=DARK),
        _g("train", "rock", "mma twist", "stdlib/twist", "Twist Twist4", (130, 190), "- TwistIntro TwistEnd"),
        _g("train", "rock", "mma eight beat", "kara/8beatmotown", "8beatmotownA 8beatmotownB 8beatmotownC", (92, 150), "8beatmotownFillA 8beatmotownIntroA 8beatmotownEndingA"),
        _g("train", "pop", "mma eighties pop", "casio/80spop", "80sPop", (100, 150), "- 80sPopIntro 80sPopEnd"),
        _g("train", "pop", "mma eight beat pop", "casio/8beatpop2", "8BeatPop2", (84, 150), "- 8BeatPop2Intro 8BeatPop2End"),
        _g("train", "pop", "mma sixteen beat", "casio/16beat1", "16Beat1", (78, 124), "- 16Beat1Intro 16Beat1End", sevenths=0.4),
        _g("train", "ballad", "mma ballad", "stdlib/ballad", "Ballad Ballad1 BalladPlus", (56, 96), "BalladFill BalladIntro BalladEnd"),
        _g("train", "ballad", "mma piano ballad", "stdlib/pianoballad", "PianoBallad PianoBallad1 PianoBallad2", (54, 92), "PianoBalladFill PianoBalladIntro PianoBalladEnd"),
        _g("train", "ballad", "mma lullaby", "stdlib/lullaby", "Lullaby Lullaby1", (60, 100), "- LullabyIntro LullabyEnd", modes=MAJOR),
        _g("train", "country", "mma western swing", "stdlib/westernswing", "WesternSwing WesternSwingPlus", (110, 190), "- WesternSwingIntro WesternSwingEnd", modes=MAJOR, **_SHUFFLE),
        _g("train", "country", "mma bluegrass", "stdlib/bluegrass", "BlueGrass", (110, 170), "", modes=MAJOR),
        _g("train", "march", "mma march", "stdlib/march", "March March1 March2", (100, 130), "- - MarchEnd", modes=MAJOR),
        _g("train", "folk", "mma polka", "stdlib/polka", "Polka Polka1 PolkaArp", (100, 140), "- PolkaIntro PolkaEnd", modes=MAJOR),
        _g("train", "funk", "mma funk", "casio/funk1", "Funk1", (88, 126), "- Funk1Intro Funk1End", sevenths=0.6),
        _g("train", "dance", "mma house", "casio/house", "House", (116, 132), "- HouseIntro HouseEnd"),
        _g("train", "dance", "mma techno", "casio/techno", "Techno", (124, 150), "- TechnoIntro TechnoEnd", modes=DARK),
        _g("train", "dance", "mma dance", "casio/dance1", "Dance1", (112, 144), "- Dance1Intro Dance1End"),
        _g("train", "hip hop", "mma hip hop", "casio/hip-hop", "Hip-Hop", (80, 108), "- Hip-HopIntro Hip-HopEnd", modes=DARK),
        _g("train", "reggae", "mma calypso", "stdlib/calypso", "Calypso Calypso1", (100, 150), "- CalypsoIntro CalypsoEnd", modes=MAJOR),
        _g("train", "jazz", "mma foxtrot", "stdlib/foxtrot", "Foxtrot Foxtrot1", (100, 190), "FoxtrotFill FoxTrotIntro FoxTrotEnd", **_JAZZ),
        _g("train", "solo", "mma arpeggio", "stdlib/arpeggio44", "Arpeggio4 Arpeggio8 Arpeggio48", (60, 130), "- Arpeggio4Intro -"),
        # tune
        _g("tune", "jazz", "mma basie", "yamaha/jazzbasie", "JazzBasieA JazzBasieB", (110, 180), "JazzBasieFillAA JazzBasieIntroA JazzBasieEndingA", **_JAZZ),
        _g("tune", "latin", "mma beguine", "stdlib/beguine", "Beguine Beguine1", (90, 136), "BeguineFill BeguineIntro BeguineEnd", sevenths=0.4),
        _g("tune", "rock", "mma sixties rock", "stdlib/60srock", "60sRock 60sRock1 60sRockPlus", (100, 170), "- 60sRockIntro 60sRockEnd"),
        _g("tune", "waltz", "mma french waltz", "stdlib/frenchwaltz", "FrenchWaltz FrenchWaltz1", (110, 190), "FrenchWaltz1Fill FrenchWaltzIntro FrenchWaltzEnd", **_WALTZ),
        _g("tune", "pop", "mma electric pop", "casio/electricpop", "ElectricPop", (100, 150), "- ElectricPopIntro ElectricPopEnd"),
        _g("tune", "dance", "mma rave", "casio/rave", "Rave", (124, 160), "- RaveIntro RaveEnd", modes=DARK),
        _g("tune", "country", "mma folk rock", "stdlib/folkrock", "FolkRock", (90, 150), "FolkRockFill FolkRockIntro FolkRockEnd"),
        _g("tune", "march", "mma german march", "casio/germanmarch", "GermanMarch", (100, 130), "- GermanMarchIntro GermanMarchEnd", modes=MAJOR),
        _g("tune", "ballad", "mma guitar ballad", "stdlib/guitarballad", "GuitarBallad GuitarBallad1", (58, 100), "- GuitarBalladIntro GuitarBalladEnd"),
        _g("tune", "compound", "mma twelve ballad", "stdlib/ballad128", "Ballad128 Ballad128Plus", (48, 84), "- Ballad128Intro Ballad128End", division=3),
        # score
        _g("score", "jazz", "mma swing", "stdlib/swing", "Swing SwingWalk Swing1 SwingPlus", (96, 200), "SwingFill - -", **_JAZZ),
        _g("score", "jazz", "mma fast big band", "casio/fastbigband", "FastBigBand", (150, 205), "- FastBigBandIntro FastBigBandEnd", **_JAZZ),
        _g("score", "jazz", "mma dixie", "stdlib/dixie", "Dixie Dixie1 Dixie2 DixieStrum", (110, 200), "- DixieIntro DixieEnd", sevenths=0.5, division=3, modes=MAJOR),
        _g("score", "jazz", "mma nite jazz", "stdlib/nitejazz", "NiteJazz NiteJazzPlus", (64, 120), "- NiteJazzIntro NiteJazzEnd", **_JAZZ),
        _g("score", "jazz", "mma gypsy jazz", "stdlib/gypsyjazz", "GypsyJazz GypsyJazzFiddle GypsyJazzGuitar", (120, 210), "- GypsyJazzIntro GypsyJazzEnd", division=3, sevenths=0.5),
        _g("score", "jazz", "mma quickstep", "stdlib/quickstep", "QuickStep QuickStepWalk QuickStepHit", (150, 206), "- QuickStepIntro QuickStepEnd", **_JAZZ),
        _g("score", "shuffle", "mma happy shuffle", "kara/happyshuffle", "HappyshuffleA HappyshuffleB HappyshuffleC", (100, 160), "HappyshuffleFillA HappyshuffleIntroA HappyshuffleEndingA", **_SHUFFLE),
        _g("score", "shuffle", "mma shuffle rock", "casio/shufflerock", "ShuffleRock", (90, 150), "- ShuffleRockIntro ShuffleRockEnd", **_SHUFFLE),
        _g("score", "shuffle", "mma boogie woogie", "stdlib/boggiewoggie", "BoggieWoggie", (120, 190), "", modes=BLUES, division=3),
        _g("score", "waltz", "mma viennese waltz", "stdlib/vienesewaltz", "VieneseWaltz VieneseWaltz1 VieneseWaltz2", (140, 200), "- VieneseWaltzIntro VieneseWaltzEnd", **_WALTZ),
        _g("score", "waltz", "mma jazz waltz", "stdlib/jazzwaltz", "JazzWaltz JazzWaltz1 JazzWaltz2", (96, 190), "JazzWaltzFill JazzWaltzIntro JazzWaltzEnd", beats=3, **_JAZZ),
        _g("score", "waltz", "mma rock waltz", "stdlib/rockwaltz", "RockWaltz RockWaltz1 RockWaltzWalk", (90, 160), "- RockWaltzIntro RockWaltzEnd", **_WALTZ),
        _g("score", "compound", "mma six swing", "stdlib/68swing", "68Swing 68Swing1 68Swing2", (70, 124), "- 68SwingIntro 68SwingEnd", **_SIX),
        _g("score", "compound", "mma six arpeggio", "stdlib/arpeggio68", "Arpeggio68 Arpeggio68-16 Arpeggio68-816", (44, 84), "- Arpeggio68Intro -", **_SIX),
        _g("score", "compound", "mma blues twelve", "stdlib/blues128", "Blues128 Blues128Plus", (48, 90), "", division=3, modes=BLUES),
        _g("score", "latin", "mma samba", "stdlib/samba", "Samba SambaPlus", (84, 120), "SambaFill SambaIntro SambaEnd", sevenths=0.6),
        _g("score", "latin", "mma cha cha", "stdlib/chacha", "ChaCha ChaCha1", (104, 140), "ChaChaFill ChaChaIntro ChaChaEnd", sevenths=0.3),
        _g("score", "latin", "mma mambo", "stdlib/mambo", "Mambo Mambo1 Mambo2 Mambo3", (150, 204), "- MamboIntro MamboEnd", sevenths=0.5),
        _g("score", "latin", "mma tango", "stdlib/tango", "Tango Tango1 TangoClean", (104, 136), "- TangoIntro TangoEnd", modes=DARK),
        _g("score", "latin", "mma bossa trio", "kara/kbossa", "kbossaA kbossaB kbossaC", (104, 160), "kbossaFillA kbossaIntroA kbossaEndingA", sevenths=0.8),
        _g("score", "rock", "mma heavy metal", "casio/heavymetal", "HeavyMetal", (116, 190), "- HeavyMetalIntro HeavyMetalEnd", modes=DARK),
        _g("score", "rock", "mma digital rock", "casio/digitalrock", "DigitalRock", (104, 170), "- DigitalRockIntro DigitalRockEnd"),
        _g("score", "rock", "mma fast twist", "kara/fasttwist", "fasttwistA fasttwistB", (150, 200), "fasttwistFillA fasttwistIntroA fasttwistEndingA"),
        _g("score", "rock", "mma pop rock", "casio/poprock2", "PopRock2", (96, 160), "- PopRock2Intro PopRock2End"),
        _g("score", "rock", "mma rock ballad", "stdlib/rockballad", "RockBallad RockBallad1", (60, 96), "RockBalladFill RockBalladIntro RockBalladEnd"),
        _g("score", "rock", "mma bubble rock", "stdlib/bubblerock", "BubbleRock", (110, 180), ""),
        _g("score", "pop", "mma dance pop", "casio/dancepop3", "DancePop3", (100, 136), "- DancePop3Intro DancePop3End"),
        _g("score", "pop", "mma world pop", "casio/worldpop", "WorldPop", (84, 130), "- WorldPopIntro WorldPopEnd"),
        _g("score", "pop", "mma sixties pop", "casio/60spop", "60sPop", (100, 160), "- 60sPopIntro 60sPopEnd"),
        _g("score", "ballad", "mma string ballad", "stdlib/stringballad", "StringBallad StringBalladStrum StringBalladVoice", (54, 92), "- StringBalladIntro StringBalladEnd"),
        _g("score", "ballad", "mma slow sixteen", "casio/slow16beat", "Slow16Beat", (56, 92), "- Slow16BeatIntro Slow16BeatEnd", sevenths=0.5),
        _g("score", "country", "mma country swing", "stdlib/countryswing", "CountrySwing CountrySwing1 CountrySwing2", (100, 180), "- CountrySwingIntro CountrySwingEnd", modes=MAJOR, **_SHUFFLE),
        _g("score", "country", "mma hill country", "stdlib/hillcountry", "HillCountry", (96, 160), "HillCountryFill HillCountryIntro HillCountryEnd", modes=MAJOR),
        _g("score", "country", "mma western", "yamaha/western", "WesternMainA WesternMainB", (100, 160), "WesternFillAA WesternIntroA WesternEndingA", modes=MAJOR),
        _g("score", "march", "mma brass march", "stdlib/bwmarch", "BWMarch", (100, 130), "BWMarchFill BWMarchIntro BWMarchEnd", modes=MAJOR),
        _g("score", "march", "mma six march", "stdlib/68march", "68March 68MarchPlus", (100, 128), "68MarchFill 68MarchIntro 68MarchEnd", beats=2, division=3, modes=MAJOR),
        _g("score", "folk", "mma pop polka", "casio/poppolka", "PopPolka", (100, 144), "- PopPolkaIntro PopPolkaEnd", modes=MAJOR),
        _g("score", "folk", "mma zydeco", "stdlib/zydeco", "Zydeco ZydecoPlus", (100, 170), "- ZydecoIntro ZydecoEnd"),
        _g("score", "funk", "mma strut", "stdlib/strut", "Strut Strut2", (84, 124), "- StrutIntro StrutEnd", sevenths=0.5),
        _g("score", "funk", "mma fusion", "casio/fusion", "Fusion", (92, 140), "- FusionIntro FusionEnd", sevenths=0.7),
        _g("score", "funk", "mma disco soul", "casio/discosoul", "DiscoSoul", (104, 128), "- DiscoSoulIntro DiscoSoulEnd", sevenths=0.4),
        _g("score", "dance", "mma team techno", "alexis/teamtechno", "TeamTechno", (124, 160), "- TeamTechnoIntro TeamTechnoEnd", modes=DARK),
        _g("score", "dance", "mma latin house", "casio/latinhouse", "LatinHouse", (112, 132), "- LatinHouseIntro LatinHouseEnd", sevenths=0.4),
        _g("score", "dance", "mma trance", "casio/trance2", "Trance2", (126, 148), "- Trance2Intro Trance2End", modes=DARK),
        _g("score", "hip hop", "mma trip hop", "casio/triphop", "TripHop", (72, 104), "- TripHopIntro TripHopEnd", modes=DARK),
        _g("score", "reggae", "mma ska", "stdlib/ska", "Ska Ska1 SkaClap", (110, 170), "- - SkaEnd"),
        _g("score", "odd", "mma jazz five", "stdlib/jazz-54", "Jazz54 Jazz54Walk", (110, 180), "- Jazz54DrumIntro -", beats=5, **_JAZZ),
        _g("score", "solo", "mma serenade", "casio/serenade", "Serenade", (60, 110), "- SerenadeIntro SerenadeEnd", modes=BOTH),
    )


STYLES = MappingProxyType({style.name: style for style in _styles()})
