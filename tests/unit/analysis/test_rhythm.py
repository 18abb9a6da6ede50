"""A constant tempo is exact; a missing one has a confidence of 0 and a reason."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from serve_app.analysis.rhythm import (
    DEFAULT_BPM,
    Grid,
    Rhythm,
    RhythmListener,
    _doubled,
    _halved,
)
from tests.unit.analysis import music

BLOCK = 65_536
CLICKS = (
    *(40, 44.1, 48, 50, 53.3, 60, 66, 70, 72.5, 78.7, 80, 84, 90, 97.3, 100, 104, 110),
    *(112, 120, 120.5, 127.95, 128, 130, 136.6, 140, 146, 150, 155, 160, 163, 170, 174),
    *(180, 187, 190, 190.2, 200, 210, 212, 220, 225, 230, 239, 240),
)


def found(song: music.Mono, bpm_range: tuple[float, float] | None = None) -> Rhythm:
    listener = RhythmListener()
    for at in range(0, len(song), BLOCK):
        listener.add(song[at : at + BLOCK])
    return listener.result(bpm_range)


@pytest.mark.parametrize("bpm", CLICKS)
def test_clicks_are_counted(bpm: float) -> None:
    rhythm = found(music.clicks(bpm, seconds=60))
    assert rhythm.bpm == pytest.approx(bpm, abs=0.01)
    assert rhythm.grid is not None
    late = (rhythm.grid.first_beat_seconds + 0.02) % (60 / bpm)
    assert late == pytest.approx(0.02, abs=0.015)
    # These begin with a beat, which a regression may place before the song.
    assert rhythm.grid.first_beat_seconds >= 0
    assert rhythm.grid.first_downbeat_seconds >= 0


@pytest.mark.parametrize(("change", "bpm"), [(_halved, 60.0), (_doubled, 240.0)])
@pytest.mark.parametrize("pickup", [0, 1, 2, 3])
def test_a_grid_begins_with_a_beat_that_is_counted(
    change: Callable[[Rhythm], Rhythm], bpm: float, pickup: int
) -> None:
    """At half the tempo every second beat is dropped."""
    beats = tuple(0.3 + 0.5 * beat for beat in range(32))
    grid = Grid(120.0, beats[0], beats[pickup], drift_ms=0.0)
    found = change(Rhythm(120.0, beats=beats, downbeats=beats[pickup::4], grid=grid))
    assert found.grid is not None
    assert found.grid.bpm == bpm
    assert found.grid.first_beat_seconds == pytest.approx(found.beats[0])
    assert found.grid.first_downbeat_seconds == pytest.approx(found.downbeats[0])


@pytest.mark.parametrize("bpm_range", [(40.0, 80.0), (150.0, 240.0)])
def test_the_grid_of_another_speed_begins_with_a_beat_of_it(
    bpm_range: tuple[float, float],
) -> None:
    """Also at another tempo: at half of it every second beat is dropped."""
    for cut in (0.2, 0.8):
        rhythm = found(music.drums(120.0)[int(cut * 22_050) :], bpm_range)
        assert rhythm.grid is not None
        nearest = min(
            abs(beat - rhythm.grid.first_beat_seconds) for beat in rhythm.beats
        )
        assert nearest < 0.02


def test_what_is_faster_than_tempos_are_is_counted_at_half_the_speed() -> None:
    rhythm = found(music.clicks(246.0))
    assert rhythm.bpm == pytest.approx(123.0, rel=0.001)
    assert rhythm.grid is not None
    assert rhythm.grid.bpm == pytest.approx(123.0, rel=0.001)
    assert np.median(np.diff(rhythm.beats)) == pytest.approx(60 / 123, abs=0.005)


@pytest.mark.parametrize("bpm", [60, 72.5, 84, 97.3, 112, 128, 146, 163, 180])
@pytest.mark.parametrize("hats_per_beat", [2, 4])
def test_drums_are_counted_by_kick_and_snare(bpm: float, hats_per_beat: int) -> None:
    drums = music.drums(bpm, hats_per_beat=hats_per_beat)
    assert found(drums).bpm == pytest.approx(bpm, rel=0.002)


def test_constant_tempo_is_told_to_a_hundredth() -> None:
    rhythm = found(music.drums(127.95, seconds=60))
    assert rhythm.bpm == pytest.approx(127.95, abs=0.005)
    assert rhythm.grid is not None
    assert rhythm.grid.drift_ms < 5
    assert [segment.bpm for segment in rhythm.segments] == [
        pytest.approx(127.95, abs=0.02)
    ]
    assert rhythm.reason is None
    assert 0 < rhythm.bpm_confidence <= 1


def test_after_ten_minutes_the_grid_is_within_5_ms() -> None:
    rhythm = found(music.drums(127.95, seconds=605))
    assert rhythm.grid is not None
    first = rhythm.grid.first_beat_seconds
    number = round(first * 127.95 / 60)
    # A kick's sound may shift its beats, but by the same amount to the end.
    late = first - number * 60 / 127.95
    last = first + 1_270 * 60 / rhythm.grid.bpm
    assert last == pytest.approx((number + 1_270) * 60 / 127.95 + late, abs=0.003)
    assert late == pytest.approx(0, abs=0.005)
    heard = np.array(rhythm.beats)[-8:]
    assert np.abs(heard * 127.95 / 60 - np.rint(heard * 127.95 / 60)).max() < 0.03


def test_a_drummer_who_gets_faster_is_told_by_the_middle_tempo() -> None:
    rhythm = found(played(np.linspace(118, 122, 120)))
    assert rhythm.bpm == pytest.approx(119.98, abs=0.1)
    assert rhythm.grid is None
    assert rhythm.segments[0].bpm < 120 < rhythm.segments[-1].bpm


@pytest.mark.parametrize("seed", range(6))
def test_a_drummer_who_wanders_is_told_by_the_mean_tempo(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wandering = np.convolve(rng.normal(0, 1, 340).cumsum(), np.ones(16), "valid")
    wandering -= wandering.min()
    tempi = 118 + 4 * wandering / wandering.max()
    mean = 60 / (60 / tempi).mean()
    assert found(played(tempi, rng)).bpm == pytest.approx(mean, abs=0.1)


def played(
    tempi: NDArray[np.float64], rng: np.random.Generator | None = None
) -> music.Mono:
    """Return kick and snare with a tempo for each beat, 4 ms early or late."""
    beats = np.concatenate([[0], np.cumsum(60 / tempi)])
    if rng is not None:
        beats = beats + 0.3 + rng.normal(0, 0.004, len(beats))
    sounds = [
        (float(at), (music.kick, music.snare)[i % 2]()) for i, at in enumerate(beats)
    ]
    return music.placed(sounds, float(beats[-1]) + 0.5)


def test_drums_are_counted_through_noise() -> None:
    drums = music.drums(128.0)
    noise = np.random.default_rng(0).standard_normal(len(drums)).astype(np.float32)
    assert found(drums + np.float32(0.05) * noise).bpm == pytest.approx(128, rel=0.002)


@pytest.mark.parametrize("hertz", [200.0, 5_000.0])
def test_clicks_of_any_pitch_are_counted(hertz: float) -> None:
    assert found(music.clicks(97.3, hertz=hertz)).bpm == pytest.approx(97.3, rel=0.002)


def test_loudness_does_not_matter() -> None:
    drums = music.drums(112.0)
    quiet = found(np.float32(1e-4) * drums)
    assert quiet.bpm == pytest.approx(found(drums).bpm, rel=1e-3)


def test_a_break_does_not_bend_the_tempo() -> None:
    beats = [music.drums(128.0), np.zeros(7 * music.RATE, np.float32)]
    song = np.concatenate([*beats, music.drums(128.0)])
    assert found(song).bpm == pytest.approx(128.0, rel=0.002)


@pytest.mark.parametrize(
    ("bpm_range", "bpm"),
    [((100, 200), 174), ((88, 175), 174), ((40, 80), 43.5), ((60, 120), 87)],
)
def test_a_range_is_kept_to(bpm_range: tuple[float, float], bpm: float) -> None:
    rhythm = found(music.drums(87.0), bpm_range)
    assert rhythm.bpm == pytest.approx(bpm, rel=0.002)
    assert np.median(np.diff(rhythm.beats)) == pytest.approx(60 / bpm, rel=0.01)
    assert rhythm.grid is not None
    assert rhythm.grid.bpm == pytest.approx(bpm, rel=0.002)
    assert set(np.round(rhythm.downbeats, 6)) <= set(np.round(rhythm.beats, 6))


@pytest.mark.parametrize(
    "bpm_range", [(170, 190), (100, 110), (129, 250), (40, 60), (40, 63.9)]
)
def test_a_tempo_that_the_song_has_not_is_not_told(
    bpm_range: tuple[float, float],
) -> None:
    """Nor is there a grid: the change between both tempi is not a third one."""
    rhythm = found(music.drums(128.0), bpm_range)
    if rhythm.reason is None:
        assert_within(rhythm, *bpm_range)
        return
    assert rhythm == Rhythm(
        float(np.clip(128.0, *bpm_range)), reason="no tempo in the range"
    )


@pytest.mark.parametrize("bpm_range", [(60, 70), (120, 135), (128, 256), (90, 190)])
def test_all_tempi_are_within_the_range(bpm_range: tuple[float, float]) -> None:
    assert_within(found(music.drums(128.0), bpm_range), *bpm_range)


def assert_within(rhythm: Rhythm, slowest: float, fastest: float) -> None:
    assert rhythm.bpm_confidence > 0.1
    assert rhythm.grid is not None
    assert rhythm.grid.bpm == pytest.approx(rhythm.bpm, abs=0.02)
    [segment] = rhythm.segments
    assert segment.bpm == pytest.approx(rhythm.bpm, abs=0.02)
    assert 60 / np.median(np.diff(rhythm.beats)) == pytest.approx(rhythm.bpm, rel=0.02)
    for bpm in (rhythm.bpm, *(bpm for bpm, _ in rhythm.bpm_alternatives)):
        assert slowest <= bpm <= fastest


def drummed(*tempi: tuple[float, int]) -> music.Mono:
    """Return kick and snare in turn, with a number of beats at each tempo."""
    intervals = [60 / bpm for bpm, count in tempi for _ in range(count)]
    times = np.cumsum([0.0, *intervals])
    sounds = [
        (float(at), (music.kick, music.snare)[i % 2]()) for i, at in enumerate(times)
    ]
    return music.placed(sounds, float(times[-1]) + 0.5)


@pytest.mark.parametrize(
    ("tempi", "bpm"),
    [([(100, 34), (125, 70)], 125), ([(100, 90), (125, 70)], 100)],
)
def test_a_song_of_several_tempi_is_told_by_the_one_that_lasts_longest(
    tempi: list[tuple[float, int]], bpm: float
) -> None:
    rhythm = found(drummed(*tempi))
    assert rhythm.bpm == pytest.approx(bpm, abs=0.05)
    assert rhythm.grid is None
    assert [segment.bpm for segment in rhythm.segments] == [
        pytest.approx(each, abs=0.1) for each, _ in tempi
    ]
    assert rhythm.bpm_confidence > 0.1


@pytest.mark.parametrize(
    "song",
    [
        *(drummed((100, 34), (140, 70)), music.drums(87.0), music.clicks(246.0)),
        music.drums(120.0, seconds=4.0),
    ],
    ids=["changing", "constant", "halved", "a loop"],
)
@pytest.mark.parametrize("bpm_range", [None, (100, 200)])
def test_alternatives_are_other_tempi_with_shares_of_the_rest(
    song: music.Mono, bpm_range: tuple[float, float] | None
) -> None:
    rhythm = found(song, bpm_range)
    shares = [share for _, share in rhythm.bpm_alternatives]
    assert shares == sorted(shares, reverse=True)
    assert rhythm.bpm_confidence + sum(shares) <= 1 + 1e-9
    assert all(share > 0 for share in shares)
    for bpm, _ in rhythm.bpm_alternatives:
        assert bpm != pytest.approx(rhythm.bpm, rel=0.04)


def test_a_part_of_a_song_may_have_the_tempo_that_is_asked_for() -> None:
    rhythm = found(drummed((90, 30), (128, 34)), (110, 160))
    assert rhythm.bpm == pytest.approx(128, abs=0.1)
    assert rhythm.reason is None
    assert len(rhythm.beats) > 50


@pytest.mark.parametrize("bpm", [87.0, 120.0, 128.0, 174.0])
@pytest.mark.parametrize("late", [0.0, 0.002])
def test_a_song_that_begins_with_a_bar_keeps_it(bpm: float, late: float) -> None:
    """A regression may place its first beat a few milliseconds before the song."""
    lead = np.zeros(round(late * music.RATE), np.float32)
    rhythm = found(np.concatenate([lead, music.drums(bpm)]))
    assert rhythm.grid is not None
    assert 0 <= rhythm.grid.first_beat_seconds < 0.01
    assert rhythm.grid.first_downbeat_seconds == pytest.approx(
        rhythm.downbeats[0], abs=0.02
    )


@pytest.mark.parametrize(
    ("song", "reason"),
    [
        (np.zeros(0, np.float32), "too short"),
        (np.full(1, 0.5, np.float32), "too short"),
        (music.clicks(90, seconds=0.9), "too short"),
        (np.zeros(5 * music.RATE, np.float32), "no pulse"),
        (np.ones(5 * music.RATE, np.float32), "no pulse"),
        (music.tone(60, 8.0), "no pulse"),
    ],
    ids=["nothing", "one sample", "less than a second", "silence", "offset", "a tone"],
)
def test_what_has_no_pulse_is_120_and_says_why(song: music.Mono, reason: str) -> None:
    assert found(song) == Rhythm(DEFAULT_BPM, reason=reason)
    assert DEFAULT_BPM == 120.0


@pytest.mark.parametrize("colour", [0, 1, 2], ids=["white", "pink", "brown"])
@pytest.mark.parametrize(
    ("seconds", "seeds"),
    [(1, 12), (1.5, 12), (2, 12), (3, 12), (5, 10), (8, 6), (15, 2), (60, 1)],
)
def test_noise_has_no_pulse(seconds: float, seeds: int, colour: int) -> None:
    for seed in range(seeds):
        assert found(music.noise(seconds, seed, colour)) == Rhythm(
            DEFAULT_BPM, reason="no pulse"
        )


def test_what_is_told_of_a_changing_tempo_is_the_longer_part() -> None:
    first, second = music.drums(120.0, seconds=40), music.drums(144.0, seconds=20)
    assert found(np.concatenate([first, second])).bpm == pytest.approx(120, abs=0.2)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_speech_has_no_pulse(tmp_path: Path) -> None:
    text = "It is a long way to the harbour, and nobody knows when the ferry leaves. "
    wave = tmp_path / "speech.wav"
    subprocess.run(["espeak-ng", "-w", wave, text * 4], check=True)
    speech, rate = soundfile.read(wave, dtype="float32")
    rhythm = found(soxr.resample(speech, rate, music.RATE))
    assert rhythm.bpm_confidence == 0
    assert rhythm.reason == "no pulse"


@pytest.mark.parametrize("bpm", [236, 238, 240, 242, 245])
@pytest.mark.parametrize("seconds", [6.0, 20.0])
def test_no_tempo_is_over_the_fastest(bpm: float, seconds: float) -> None:
    assert 40 <= found(music.clicks(bpm, seconds)).bpm <= 240
