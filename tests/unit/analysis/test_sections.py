import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.analysis import sections
from serve_app.analysis.sections import Section
from tests.unit.analysis import music

FRAME_SECONDS = 0.5
BPM = 120.0
BAR_SECONDS = 4 * 60 / BPM

Features = NDArray[np.float32]


def features(mono: music.Mono) -> Features:
    """Twelve pitch classes and ten bands of mono samples, every half second."""
    size = round(FRAME_SECONDS * music.RATE)
    windows = mono[: len(mono) // size * size].reshape(-1, size) * np.hanning(size)
    powers = np.abs(np.fft.rfft(windows)) ** 2
    hertz = np.fft.rfftfreq(size, 1 / music.RATE)
    tonal = (hertz > 100) & (hertz < 2_000)
    pitches = np.rint(12 * np.log2(hertz[tonal] / 440) + 9).astype(int) % 12
    chroma = np.zeros((len(windows), 12))
    np.add.at(chroma.T, pitches, np.sqrt(powers[:, tonal]).T)
    edges = np.searchsorted(hertz, np.geomspace(30, 10_000, 11))
    bands = np.add.reduceat(powers, edges, axis=1)[:, :10]
    return np.concatenate([chroma, bands], axis=1).astype(np.float32)


def sound(seed: int, seconds: float, decibels: float = 0.0) -> Features:
    """A distinct sound, with frames that differ by a few dB."""
    generator = np.random.default_rng(seed)
    frames = round(seconds / FRAME_SECONDS)
    profile = 10 ** generator.uniform(-1.5, 0, 22)
    flicker = 10 ** np.random.default_rng(frames).normal(0, 0.15, (frames, 22))
    return (profile * flicker * 10 ** (decibels / 10)).astype(np.float32)


def starts(found: list[Section]) -> list[float]:
    return [section.start_seconds for section in found]


def labels(found: list[Section]) -> str:
    return "".join(section.label for section in found)


def test_sections_of_made_music_begin_on_their_bars_and_come_again() -> None:
    # Drums, then chords over drums, a break without drums, and all of it again.
    beat = music.drums(BPM, 16)
    chords = np.resize(music.cadence(9, True), len(beat)) * np.float32(0.05)
    song = np.concatenate([beat, beat + chords, chords, beat, beat + chords])
    downbeats = np.arange(0, len(song) / music.RATE, BAR_SECONDS).tolist()
    found = sections.find(features(song), FRAME_SECONDS, downbeats)
    assert labels(found) == "ABCAB"
    assert starts(found) == [0, 16, 32, 48, 64]
    assert found[-1].end_seconds == pytest.approx(80)
    fullest = [section.energy for section in found if section.label == "B"]
    assert min(fullest) > max(
        section.energy for section in found if section.label != "B"
    )


def test_sections_are_found_to_the_frame_without_downbeats() -> None:
    song = np.concatenate([sound(1, 20), sound(2, 30.5), sound(1, 25)])
    found = sections.find(song, FRAME_SECONDS)
    assert labels(found) == "ABA"
    assert starts(found) == pytest.approx([0, 20, 50.5], abs=FRAME_SECONDS)
    assert [section.end_seconds for section in found] == [*starts(found)[1:], 75.5]


def test_boundaries_are_moved_to_the_nearest_downbeat_but_not_far() -> None:
    song = np.concatenate([sound(1, 20), sound(2, 30), sound(1, 25)])
    found = sections.find(song, FRAME_SECONDS, [0.0, 19.3, 21.9, 45.0, 60.0])
    assert starts(found) == pytest.approx([0, 19.3, 50])


def test_chords_that_come_round_are_no_sections() -> None:
    # Four bars with distinct sounds, repeated: only the bars reveal the cycle.
    bar_seconds = 2.5
    four_bars = [sound(n, bar_seconds, -20.0 * (n > 1)) for n in range(4)]
    song = np.concatenate(four_bars * 8)
    downbeats = np.arange(0, 80, bar_seconds).tolist()
    assert labels(sections.find(song, FRAME_SECONDS, downbeats)) == "A"


def test_the_same_music_louder_is_another_section_with_more_energy() -> None:
    song = np.concatenate([sound(1, 30, -12), sound(1, 30)])
    found = sections.find(song, FRAME_SECONDS)
    assert labels(found) == "AB"
    assert found[0].energy == pytest.approx(1 - 12 / 40, abs=0.02)
    assert found[1].energy == 1


def test_a_change_of_key_alone_is_a_boundary() -> None:
    song = np.concatenate([sound(1, 30), sound(1, 30)])
    song[60:, :12] = np.roll(song[60:, :12], 2, axis=1)
    found = sections.find(song, FRAME_SECONDS)
    assert starts(found) == pytest.approx([0, 30], abs=FRAME_SECONDS)


def test_silence_at_the_ends_is_in_no_section() -> None:
    nothing = np.zeros((20, 22), np.float32)
    song = np.concatenate([nothing, sound(1, 30), nothing])
    (found,) = sections.find(song, FRAME_SECONDS)
    assert (found.start_seconds, found.end_seconds) == (10, 40)


def test_silence_within_is_a_section_without_energy() -> None:
    nothing = np.zeros((20, 22), np.float32)
    found = sections.find(
        np.concatenate([sound(1, 30), nothing, sound(1, 30)]), FRAME_SECONDS
    )
    assert labels(found) == "ABA"
    assert [section.energy for section in found] == pytest.approx([1, 0, 1], abs=0.01)


def test_how_a_song_ends_does_not_hide_what_was_before() -> None:
    fade = sound(2, 5) * np.logspace(0, -4, 10, dtype=np.float32)[:, None]
    song = np.concatenate([sound(1, 30), sound(2, 14), fade])
    found = sections.find(song, FRAME_SECONDS)
    assert labels(found).startswith("AB")
    assert starts(found)[1] == pytest.approx(30, abs=FRAME_SECONDS)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_one_section(seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(60 * music.RATE)
    assert labels(sections.find(features(noise.astype(np.float32)), 0.5)) == "A"


@pytest.mark.parametrize("frames", [0, 1, 30])
def test_silence_has_no_sections(frames: int) -> None:
    assert sections.find(np.zeros((frames, 22), np.float32), FRAME_SECONDS) == []


@pytest.mark.parametrize("frames", [1, 2, 13, 14, 28, 29])
def test_a_short_song_is_one_section(frames: int) -> None:
    (found,) = sections.find(sound(1, frames / 2), FRAME_SECONDS, [0.0])
    assert (found.start_seconds, found.end_seconds) == (0, frames / 2)


def test_ten_hours_stay_small_and_every_song_of_a_mix_is_found() -> None:
    songs = [sound(seed, 300) for seed in range(120)]
    mix = np.concatenate(songs)
    downbeats = np.arange(0, 36_000, 1.875)
    tracemalloc.start()
    found = sections.find(mix, FRAME_SECONDS, downbeats.tolist())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6
    assert starts(found) == pytest.approx([300 * n for n in range(120)], abs=10)
    assert found[26].label == "AA"


def test_sections_go_on_the_wire_rounded() -> None:
    assert Section(0.12345, 10.0, "A", 0.98765).to_dict() == {
        "start_seconds": 0.123,
        "end_seconds": 10.0,
        "label": "A",
        "energy": 0.988,
    }
