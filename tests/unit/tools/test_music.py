"""The annotations of generated pieces match their sound."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest

from tools.music import (
    catalogue,
    composing,
    drumming,
    field,
    figures,
    grooves,
    harmony,
    making,
    mastering,
    playing,
    rendering,
    styles,
    timing,
)
from tools.music.catalogue import Piece
from tools.music.playing import Hand
from tools.music.values import Bar, Composition, Key, Note, Track

PIECES = catalogue.read()
COMPOSED = [piece for piece in PIECES if piece.source == "composed"]
FONT = "TimGM6mb"
CAN_RENDER = (
    shutil.which("fluidsynth") is not None and rendering.SOUNDFONTS[FONT].exists()
)


def _of(part: str) -> list[Piece]:
    return [piece for piece in PIECES if piece.part == part]


def test_the_list_is_long_enough() -> None:
    counts = [len(_of(part)) for part in catalogue.PARTS]
    assert all(
        count >= least for count, least in zip(counts, (160, 40, 150), strict=True)
    )
    assert len({piece.name for piece in PIECES}) == len(PIECES)
    assert len({piece.sha256 for piece in PIECES}) == len(PIECES)


def test_what_is_scored_on_shares_no_style_and_no_soundfont() -> None:
    scored, others = _of("score"), [*_of("train"), *_of("tune")]
    assert not {p.style for p in scored} & {p.style for p in others}
    assert not {p.soundfont for p in scored} & {p.soundfont for p in others}
    assert not {p.seed for p in scored} & {p.seed for p in others}


def test_what_is_scored_on_has_all_keys_and_tempi() -> None:
    scored = _of("score")
    keys = {Key(piece.tonic, piece.mode).name for piece in scored}
    assert len(keys) == 24
    for low, high in ((40, 80), (80, 110), (110, 140), (140, 155), (155, 220)):
        assert sum(low <= piece.bpm < high for piece in scored) >= 15


@pytest.mark.parametrize("piece", COMPOSED[::25], ids=lambda piece: piece.name)
def test_a_piece_is_made_again_from_its_line(piece: Piece) -> None:
    assert making.write(piece).sha256 == piece.sha256


@pytest.mark.skipif(shutil.which("mma") is None, reason="MMA is not installed")
def test_an_arranged_piece_is_made_again_from_its_line() -> None:
    piece = next(piece for piece in PIECES if piece.source == "mma")
    assert making.write(piece).sha256 == piece.sha256


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    catalogue.write(PIECES[:5], tmp_path / "list.csv")
    assert catalogue.read(tmp_path / "list.csv") == PIECES[:5]


@pytest.mark.parametrize("name", styles.STYLES)
def test_each_style_has_what_it_asks_for(name: str) -> None:
    style = styles.STYLES[name]
    division = style.bar[1]
    assert any(kind in figures.BASS[division] for kind in style.bass)
    assert any(kind in figures.COMPS[division] for kind in style.comps)
    assert all(kind in drumming.PATTERNS for kind in style.drums)
    assert style.name not in grooves.STYLES


def test_truth_is_where_the_beats_are() -> None:
    piece = replace(
        COMPOSED[0], tempo="constant", bpm=100.0, silence=1.5, pickup=0, moves=False
    )
    truth = making.write(piece).truth
    assert truth["beats"][:3] == [1.5, 2.1, 2.7]
    assert truth["downbeats"][0] == 1.5
    assert truth["bpm"] == truth["main_bpm"] == 100.0
    assert [part["key"] for part in truth["keys"]] == [truth["key"]]


def test_beats_of_a_pickup_come_before_the_first_downbeat() -> None:
    piece = replace(COMPOSED[0], tempo="constant", bpm=60.0, silence=0.5, pickup=2)
    truth = making.write(piece).truth
    assert truth["beats"][0] == 0.5
    assert truth["downbeats"][0] == 2.5


def test_the_key_is_the_one_that_lasts_longest() -> None:
    key, other = Key(9, "minor"), Key(0, "major")
    chord = harmony.chord("i", 9)
    bars = [Bar(key, ((0.0, chord),), "A0")] * 5 + [
        Bar(other, ((0.0, chord),), "B1")
    ] * 4
    composition = Composition((), tuple(bars), 4)
    tempo, steady = timing.tempo_map(
        np.random.default_rng(0), "constant", 120.0, 36, 4, 0.0
    )
    truth = making._truth(COMPOSED[0], composition, tempo, steady)
    assert truth["key"] == "A minor"
    assert [part["end"] for part in truth["keys"]] == [10.0, 18.0]


@pytest.mark.parametrize("kind", ["constant", "drift", "steps", "rubato"])
def test_time_never_goes_back(kind: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tempo, steady = timing.tempo_map(rng, kind, 120.0, 128, 4, 0.25)
        seconds = tempo.seconds(np.arange(129))
        assert seconds[0] == 0.25
        assert np.diff(seconds).min() > 0.15
        assert (len(steady) > 0) == (kind != "drift")


def test_modes_count_by_their_third() -> None:
    names = [Key(3, mode).name for mode in ("dorian", "phrygian", "minor blues")]
    assert names == ["Eb minor"] * 3
    names = [Key(10, mode).name for mode in ("mixolydian", "lydian", "blues")]
    assert names == ["Bb major"] * 3


@pytest.mark.parametrize(
    ("symbol", "classes"),
    [
        ("I", (9, 1, 4)),
        ("bVIM7", (5, 9, 0, 4)),
        ("iv7", (2, 5, 9, 0)),
        ("#IVo7", (3, 6, 9, 0)),
        ("bvii", (7, 10, 2)),
    ],
)
def test_roman_numerals_are_read_over_a(symbol: str, classes: tuple[int, ...]) -> None:
    assert harmony.chord(symbol, 9).pitch_classes == classes


def test_a_section_closes_on_its_tonic() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for mode in harmony.mode_names():
            bars = harmony.bars(rng, [("A0", 8, Key(7, mode))], 4, 0.0)
            assert bars[-1].chords[-1][1].root == 7


def test_swing_moves_what_is_off_the_beat_only() -> None:
    moved = figures.swung(2 / 3, 2)
    assert [round(moved(beat), 4) for beat in (0.0, 0.5, 1.0, 1.5)] == [
        *(0.0, 0.6667, 1.0, 1.6667)
    ]


def test_pieces_that_move_have_another_key() -> None:
    rng = np.random.default_rng(5)
    sections = composing.form(rng, 48, Key(0, "major"), moves=True)
    assert len({key for _, _, key in sections}) == 2
    assert sum(count for _, count, _ in sections) == 48


def test_mastering_leaves_the_sound_where_it_is() -> None:
    wave = np.zeros((2, 44_100), np.float32)
    wave[:, 20_000:20_040] = 0.5
    steps = "tilt:6 low:6000 comp:0.8 limit:9 room:0.5 narrow:0.0 noise:-60 mp3:128"
    found = mastering.master(wave, steps, np.random.default_rng(0))
    assert found.shape == wave.shape
    assert np.abs(found).max() <= 1.2
    onset = np.argmax(np.abs(found[0]) > 0.3 * np.abs(found[0]).max())
    assert abs(int(onset) - 20_000) < 0.002 * 44_100


def test_every_drawn_mastering_can_be_played() -> None:
    rng = np.random.default_rng(1)
    wave = rng.standard_normal((2, 8_192)).astype(np.float32)
    for _ in range(20):
        steps = mastering.drawn(rng)
        assert np.isfinite(mastering.master(wave, steps, rng)).all()


@pytest.mark.skipif(not CAN_RENDER, reason="fluidsynth and TimGM6mb are not installed")
def test_clicks_are_heard_where_the_truth_says(tmp_path: Path) -> None:
    beats = 16
    rng = np.random.default_rng(2)
    notes = tuple(Note(float(beat), 0.1, 37, 120) for beat in range(beats))
    bar = Bar(Key(0, "major"), ((0.0, harmony.chord("I", 0)),), "A0")
    click = Composition((Track("drums", 0, notes),), (bar,) * (beats // 4), 4)
    tempo, _ = timing.tempo_map(rng, "drift", 133.0, beats, 4, 0.217)
    file = playing.midi(rng, click, tempo, Hand(0.0, 0.0), 0.0)
    wave = np.abs(rendering.play(file, FONT, tmp_path, is_wet=False)).max(axis=0)
    late = []
    for beat in tempo.seconds(np.arange(beats)):
        begin = int((beat - 0.02) * rendering.SAMPLE_RATE)
        heard = wave[begin : begin + 2_646]
        onset = (begin + np.argmax(heard > 0.02 * heard.max())) / rendering.SAMPLE_RATE
        late.append(onset - beat)
    assert np.abs(late).max() < 0.002


def test_tuning_is_that_of_the_line() -> None:
    bar = Bar(Key(0, "major"), ((0.0, harmony.chord("I", 0)),), "A0")
    track = Track("other", 0, (Note(0.0, 1.0, 60, 90),))
    piece = Composition((track,), (bar,), 4)
    rng = np.random.default_rng(0)
    tempo, _ = timing.tempo_map(rng, "constant", 120.0, 4, 4, 0.0)
    file = playing.midi(rng, piece, tempo, Hand(0.0, 0.0), -25.0)
    controls = {
        m.control: m.value for m in file.tracks[0] if m.type == "control_change"
    }
    assert (controls[6] << 7) + controls[38] == 8192 - 2048


def test_stems_are_told_apart() -> None:
    piece = next(piece for piece in COMPOSED if piece.stems)
    file = making.write(piece).midi
    counts = {
        stem: sum(
            message.type == "note_on"
            for track in playing.only(file, stem).tracks
            for message in track
        )
        for stem in making.STEMS
    }
    whole = sum(m.type == "note_on" for track in file.tracks for m in track)
    assert sum(counts.values()) == whole


def _file(
    ticks: list[int], pitches: list[int], metas: list[mido.MetaMessage]
) -> mido.MidiFile:
    track = mido.MidiTrack(metas)
    now = 0
    for tick, pitch in zip(ticks, pitches, strict=True):
        track.append(mido.Message("note_on", note=pitch, velocity=90, time=tick - now))
        track.append(mido.Message("note_off", note=pitch, time=60))
        now = tick + 60
    file = io.BytesIO()
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(file=file)
    return mido.MidiFile(file=io.BytesIO(file.getvalue()))


def test_truth_of_a_file_is_read_from_its_tempo_and_signatures() -> None:
    metas = [
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.MetaMessage("time_signature", numerator=6, denominator=8),
        mido.MetaMessage("key_signature", key="D"),
    ]
    file = _file([240 * i for i in range(24)], [62, 66, 69, 74] * 6, metas)
    truth = field.truth("game_song", field.read(file))
    # Quarters at 120 are dotted quarters at 80.
    assert (truth["bpm"], truth["meter"], truth["is_constant"]) == (80.0, 2, True)
    assert truth["beats"][:3] == [0.0, 0.75, 1.5]
    assert truth["downbeats"][:2] == [0.0, 1.5]
    assert (truth["key"], truth["key_found"]) == ("D major", "signature")


def test_a_file_played_without_its_bars_has_no_beats() -> None:
    ticks = np.cumsum(np.random.default_rng(0).integers(61, 900, 60)).tolist()
    metas = [mido.MetaMessage("set_tempo", tempo=500_000)]
    truth = field.truth("game_free", field.read(_file(ticks, [60, 64, 67] * 20, metas)))
    assert truth["beats"] is None
    assert truth["bpm"] is None


def test_key_of_a_real_file_is_the_longest_by_its_notes() -> None:
    # Cadences in D for 40 s, then in Ab for 20 s; a signature of C says nothing.
    steps = [0, 4, 7, 5, 9, 12, 7, 11, 14, 12, 7, 4, 0, 4, 7, 12]
    pitches = [62 + step for step in steps] * 10 + [68 + step for step in steps] * 5
    metas = [mido.MetaMessage("key_signature", key="C")]
    file = _file([240 * i for i in range(len(pitches))], pitches, metas)
    truth = field.truth("game_song", field.read(file), "real", "TimGM6mb")
    assert [span["key"] for span in truth["keys"]] == ["D major", "Ab major"]
    assert truth["keys"][0]["end"] == pytest.approx(40, abs=4)
    assert truth["key"] == "D major"
    assert np.sum(truth["pitch_classes"]) == pytest.approx(len(pitches) / 16, rel=0.1)


def test_no_real_file_is_in_both_halves() -> None:
    rows = field.rows()
    assert {row.half for row in rows} == {"learn", "choose"}
    halves = {(row.sha256, row.half) for row in rows}
    assert len(halves) == len({row.sha256 for row in rows})
