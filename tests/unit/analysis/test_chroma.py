"""Pitches are measured at the song's own tuning, in blocks of any size."""

import numpy as np
import pytest

from serve_app.analysis.chroma import (
    LOWEST_PITCH,
    Pitches,
    PitchListener,
    pitch_classes,
)
from tests.unit.analysis import music


def heard(samples: music.Mono, block: int | None = None) -> Pitches:
    listener = PitchListener()
    size = block or max(len(samples), 1)
    for start in range(0, len(samples), size):
        listener.add(samples[start : start + size])
    return listener.result()


def sine(pitch: float, seconds: float = 4.0) -> music.Mono:
    time = np.arange(int(seconds * music.RATE)) / music.RATE
    wave = 0.3 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
    return np.asarray(wave, np.float32)


@pytest.mark.parametrize("pitch", [33, 45, 60, 69, 81, 100])
def test_a_tone_is_heard_at_its_pitch_and_nowhere_else(pitch: int) -> None:
    strengths = heard(sine(pitch)).strengths[:3].sum(axis=0)
    assert strengths.argmax() == pitch - LOWEST_PITCH
    assert strengths.max() > 0.95 * strengths.sum()


@pytest.mark.parametrize("cents", [-45, -20, 0, 13, 40])
def test_tuning_is_told_to_three_cents(cents: int) -> None:
    notes = [music.tone(pitch + cents / 100, 1.0) for pitch in (48, 55, 60, 64, 69)]
    pitches = heard(np.concatenate(notes))
    assert 100 * pitches.tuning_semitones == pytest.approx(cents, abs=3)
    assert pitches.in_tune > 0.5


@pytest.mark.parametrize("block", [100, 4_097, 22_050])
def test_the_size_of_blocks_does_not_matter(block: int) -> None:
    song = music.cadence(3, True)
    whole, parts = heard(song), heard(song, block)
    np.testing.assert_array_equal(parts.strengths, whole.strengths)


def test_there_is_a_row_for_each_second() -> None:
    assert len(heard(sine(60, seconds=12.0)).strengths) in (12, 13)


def test_noise_is_not_in_tune() -> None:
    noise = np.random.default_rng(3).standard_normal(10 * music.RATE)
    assert heard(np.asarray(0.1 * noise, np.float32)).in_tune < 0.1


def test_little_is_kept_of_a_long_song() -> None:
    listener = PitchListener()
    second = sine(60, seconds=1.0)
    for _ in range(60):
        listener.add(second)
    kept = sum(segment.nbytes for segment in listener._segments)
    assert kept <= 60 * 840
    assert len(listener._samples) < 3 * music.RATE


def test_pitch_classes_are_those_of_notes_not_of_their_overtones() -> None:
    notes = np.zeros((2, 84), np.float32)
    for partial, semitones in enumerate((0, 12, 19, 24, 28, 31, 34)):
        notes[:, 30 + semitones] = 0.9**partial
    folded = notes.sum(axis=0).reshape(-1, 12).sum(axis=0)
    bare = pitch_classes(notes).sum(axis=0)
    assert bare.argmax() == 30 % 12
    assert np.delete(bare, 6).sum() / bare[6] < 0.6 * (
        np.delete(folded, 6).sum() / folded[6]
    )
    assert not pitch_classes(np.zeros((2, 84), np.float32)).any()
