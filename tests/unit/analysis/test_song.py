"""An analysis always has what clients need: a tempo and a key."""

import json
from collections.abc import Iterator
from threading import Event
from typing import Any

import numpy as np
import pytest
import soxr

from serve_app.analysis import song
from serve_app.errors import Cancelled, InvalidInput
from tests.unit.analysis import music


def stereo(mono: music.Mono) -> music.Mono:
    return np.stack([mono, mono])


def test_a_song_is_told_in_one_pass() -> None:
    chords = np.tile(music.cadence(1, True), 3)
    bpm = 60 / music.CHORD_SECONDS
    drums = music.drums(bpm, seconds=len(chords) / music.RATE)
    whole = stereo(chords[: len(drums)] + drums) * np.float32(0.4)
    blocks = (whole[:, at : at + 65_536] for at in range(0, whole.shape[1], 65_536))
    found = song.analyze(blocks, music.RATE).to_dict()
    assert found["bpm"] == pytest.approx(bpm, rel=0.01)
    names = (found["key"], found["camelot"], found["open_key"])
    assert names == ("C# minor", "12A", "5m")
    assert found["duration"] == pytest.approx(whole.shape[1] / music.RATE, abs=1e-6)
    assert -30 < found["loudness"]["integrated_lufs"] < 0
    assert found["sections"]
    assert "reason" not in found


@pytest.mark.parametrize("samples", [1, 2, 511, 2_048, 30_000])
@pytest.mark.parametrize("level", [0.0, 0.5])
@pytest.mark.filterwarnings("error")
def test_songs_of_any_length_are_analysed(samples: int, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    found = song.analyze([level * noise], 44_100).to_dict()
    assert 40 <= found["bpm"] <= 240
    assert found["key"]
    assert 0.0 <= found["key_confidence"] <= 1.0
    # Every number must be valid JSON.
    json.dumps(found, allow_nan=False)


def test_silence_has_no_pulse_and_no_pitch_and_says_so() -> None:
    found = song.analyze([np.zeros((2, 441_000), np.float32)], 44_100).to_dict()
    assert (found["bpm"], found["bpm_confidence"], found["beats"]) == (120.0, 0.0, [])
    assert found["key_confidence"] == 0.0
    assert found["reason"]
    assert found["loudness"]["integrated_lufs"] is None


def told(*parts: music.Mono, rate: int = music.RATE) -> dict[str, Any]:
    """The analysis of parts (n), in sequence, in both channels."""
    return song.analyze([stereo(part) for part in parts], rate).to_dict()


def wave(hertz: float, seconds: float = 10.0) -> music.Mono:
    time = np.arange(round(seconds * music.RATE)) / music.RATE
    return np.asarray(0.3 * np.cos(2 * np.pi * hertz * time), np.float32)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (wave(0.0), "no pulse, no pitch"),
        (wave(5.0), "no pulse, no pitch"),
        (wave(10.0), "no pulse, no pitch"),
        (np.zeros(5 * music.RATE, np.float32), "no pulse, silence"),
        (np.zeros(4_000, np.float32), "too short, silence"),
        (np.full(1, 0.5, np.float32), "too short"),
        (music.tone(60, 0.2), "too short"),
    ],
    ids=[
        *("an offset", "5 Hz", "10 Hz", "silence"),
        *("short silence", "one sample", "0.2 s"),
    ],
)
def test_what_has_no_key_says_why(part: music.Mono, reason: str) -> None:
    found = told(part)
    assert found["key_confidence"] == 0
    assert found["reason"] == reason


def test_a_short_sound_in_silence_has_no_key() -> None:
    found = told(SILENCE, music.tone(60, 0.5), SILENCE)
    assert (found["key_confidence"], found["key_reason"]) == (0, "no pitch")


SILENCE = np.zeros(3 * music.RATE, np.float32)


def test_there_are_no_beats_in_silence_and_sections_begin_with_the_sound() -> None:
    found = told(SILENCE, music.drums(128.0, 12.0), SILENCE)
    times = [*found["beats"], *found["downbeats"], found["grid"]["first_beat_seconds"]]
    assert min(times) == pytest.approx(3.0, abs=0.01)
    assert max(times) < 15.01
    assert found["sections"][0]["start_seconds"] == pytest.approx(2.995, abs=0.006)
    assert found["sections"][-1]["end_seconds"] == pytest.approx(15.0, abs=0.4)


def test_no_beat_is_told_in_a_long_pause_but_the_grid_goes_on() -> None:
    drums = music.drums(120.0, 12.0)
    found = told(drums, SILENCE, SILENCE, drums)
    beats = np.array(found["beats"])
    assert not ((beats > 12.3) & (beats < 17.9)).any()
    assert len(beats) == pytest.approx(48, abs=2)
    assert found["grid"]["bpm"] == pytest.approx(120, abs=0.05)


def test_a_beat_goes_on_through_a_short_pause() -> None:
    drums = music.drums(120.0, 12.0)
    beats = np.array(told(drums, SILENCE, drums)["beats"])
    assert ((beats > 12.3) & (beats < 14.9)).any()


@pytest.mark.parametrize("seconds", [0.2, 7.998, 12.3])
def test_sections_end_with_the_song(seconds: float) -> None:
    found = told(music.drums(128.0, 13.0)[: round(seconds * music.RATE)])
    assert found["sections"][-1]["end_seconds"] <= round(found["duration"], 3)
    assert found["sections"][-1]["end_seconds"] == pytest.approx(seconds, abs=0.4)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_after_ten_minutes_the_grid_of_drums_is_within_5_ms(sample_rate: int) -> None:
    """After silence, and at sample rates other than the analysis's."""
    bar = drum_bar(sample_rate)
    block = np.tile(stereo(bar), 8)
    silence = np.zeros((2, round(1.7 * sample_rate)), np.float32)
    bars = 8 * 40
    listener = song.SongListener(sample_rate)
    for part in (silence, *[block] * (bars // 8)):
        listener.add(part)
    rhythm = listener.finish().rhythm
    # A bar is a whole number of samples.
    bpm = 4 * 60 * sample_rate / len(bar)
    assert rhythm.bpm == pytest.approx(bpm, abs=0.01)
    assert rhythm.grid is not None
    assert rhythm.grid.drift_ms < 5
    first = rhythm.grid.first_beat_seconds - silence.shape[1] / sample_rate
    late = (first + 0.1) % (60 / bpm) - 0.1
    last = late + 4 * bars * (60 / rhythm.grid.bpm - 60 / bpm)
    assert (late, last) == (pytest.approx(0, abs=0.005), pytest.approx(0, abs=0.005))
    assert len(rhythm.beats) == pytest.approx(4 * bars, abs=2)


def drum_bar(sample_rate: int) -> music.Mono:
    """Four beats at 128 BPM with hats, as a loop at a sample rate."""
    drums = music.drums(127.95, seconds=4 * 60 / 127.95)
    wanted = round(len(drums) / music.RATE * sample_rate)
    bar = soxr.resample(drums, music.RATE, sample_rate)
    return np.pad(bar, (0, max(wanted - len(bar), 0)))[:wanted]


@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0])
@pytest.mark.filterwarnings("error")
def test_noise_has_no_pulse_and_no_pitch_and_says_so(seconds: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (2, int(seconds * 44_100)))
    found = song.analyze([noise.astype(np.float32)], 44_100).to_dict()
    assert (found["bpm"], found["bpm_confidence"], found["beats"]) == (120.0, 0.0, [])
    assert "no pulse" in found["reason"]
    json.dumps(found, allow_nan=False)


def test_a_file_without_samples_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no samples"):
        song.analyze([], 44_100)


@pytest.mark.parametrize("cancelled_at", [1, 2, 3])
def test_an_analysis_ends_soon_when_it_is_cancelled(cancelled_at: int) -> None:
    """It ends at the next block, or at the next step after the last block."""
    cancelled, read = Event(), []

    def blocks() -> Iterator[music.Mono]:
        for number in (1, 2, 3):
            if number == cancelled_at:
                cancelled.set()
            if number < 3:
                read.append(number)
                yield np.zeros((2, 44_100), np.float32)

    with pytest.raises(Cancelled):
        song.analyze(blocks(), 44_100, cancelled=cancelled)
    assert read == [1, 2][:cancelled_at]


def test_a_stem_is_told_by_loudness_levels_and_waveform() -> None:
    listener = song.StemListener(44_100)
    for _ in range(50):
        listener.add(np.full((2, 10_000), 0.5, np.float32))
    found = listener.result()
    assert set(found.to_dict()) == {"loudness", "levels", "duration", "sample_rate"}
    assert found.levels.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.waveform.samples == 500_000


@pytest.mark.parametrize("seed", range(8, 12))
def test_a_second_of_noise_has_no_key(seed: int) -> None:
    """By chance its strongest pitches fit a key."""
    noise = np.random.default_rng(seed).standard_normal((2, 44_100)).clip(-3, 3) / 10
    found = song.analyze([noise.astype(np.float32)], 44_100).to_dict()
    assert (found["key_confidence"], found["bpm_confidence"]) == (0, 0)


def test_a_chord_that_only_rings_has_a_key() -> None:
    seconds = np.arange(round(1.5 * music.RATE)) / music.RATE
    chord = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277.18, 329.63))
    assert told(np.asarray(0.2 * chord, np.float32))["key"] == "A major"
