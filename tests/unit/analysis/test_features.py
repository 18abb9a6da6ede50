"""There are 50 centred frames a second, whatever the size of blocks."""

import numpy as np
import pytest

from serve_app.analysis.features import (
    BANDS,
    CHROMA_FRAMES,
    HOP_SAMPLES,
    PITCH_CLASSES,
    Chromagram,
    Levels,
    Spectrogram,
)
from tests.unit.analysis import music


def levels(song: music.Mono, block: int) -> Levels:
    spectrogram = Spectrogram()
    blocks = [song[at : at + block] for at in range(0, len(song), block)]
    return np.concatenate([*map(spectrogram.add, blocks), spectrogram.end()])


@pytest.mark.parametrize("block", [1, 440, 1_024, 50_000])
def test_blocks_of_any_length_give_the_same_frames(block: int) -> None:
    song = music.drums(120, seconds=0.5)
    whole = levels(song, len(song))
    assert whole.shape == (len(song) // HOP_SAMPLES + 1, BANDS)
    np.testing.assert_allclose(levels(song, block), whole, atol=1e-5)


def test_a_frame_is_centred_on_its_sample() -> None:
    song = np.zeros(music.RATE, np.float32)
    song[20 * HOP_SAMPLES] = 1.0
    assert int(levels(song, len(song)).sum(axis=1).argmax()) == 20


@pytest.mark.parametrize("hertz", [110, 440, 1_000, 5_000])
def test_a_sine_is_loudest_in_its_own_band(hertz: float) -> None:
    time = np.arange(music.RATE) / music.RATE
    heard = levels(np.sin(2 * np.pi * hertz * time).astype(np.float32), music.RATE)
    mel = 1127 * np.log1p(np.array([30, hertz, 10_000]) / 700)
    expected = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (BANDS + 1) - 1
    assert abs(int(heard[25].argmax()) - expected) <= 1
    assert -2 < heard[25].max() < 0.1


@pytest.mark.parametrize("song", [np.zeros(0), np.zeros(1), np.ones(5_000)])
def test_any_song_has_finite_levels(song: music.Mono) -> None:
    assert np.isfinite(levels(song.astype(np.float32), 1_000)).all()


def chroma(song: music.Mono, block: int) -> Levels:
    chromagram = Chromagram()
    blocks = [song[at : at + block] for at in range(0, len(song), block)]
    return np.concatenate([*map(chromagram.add, blocks), chromagram.end()])


@pytest.mark.parametrize("block", [441, 5_000])
def test_chroma_is_that_of_the_whole_song(block: int) -> None:
    song = music.drums(120, seconds=1)
    whole = chroma(song, len(song))
    hop = CHROMA_FRAMES * HOP_SAMPLES
    assert whole.shape == (len(song) // hop + 1, 2 * PITCH_CLASSES)
    np.testing.assert_allclose(chroma(song, block), whole, atol=1e-5)


@pytest.mark.parametrize(("hertz", "has_bass"), [(110, True), (440, False)])
def test_a_note_is_of_its_class_and_register(hertz: float, has_bass: bool) -> None:
    time = np.arange(music.RATE) / music.RATE
    heard = chroma(np.sin(2 * np.pi * hertz * time).astype(np.float32), music.RATE)[3]
    everywhere, bass = np.split(heard, 2)
    assert everywhere.argmax() == 5  # A, counting from E
    assert (bass.max() > 0.5 * everywhere.max()) == has_bass
