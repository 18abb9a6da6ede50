"""An analysis always answers what clients need: a number and a name."""

import json
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest

from serve_app.analysis import song
from serve_app.analysis.song import Analysis
from serve_app.errors import Cancelled, InvalidInput
from tests.unit.analysis import music

# The first time on a machine, numba compiles what librosa is made of.
pytestmark = pytest.mark.timeout(400)


def stereo(mono: music.Mono) -> music.Mono:
    return np.stack([mono, mono])


def test_a_song_is_told_by_tempo_key_and_length() -> None:
    chords = np.tile(music.cadence(1, True), 3)
    bpm = 60 / music.CHORD_SECONDS
    drums = music.drums(bpm, seconds=len(chords) / music.RATE)
    blocks = stereo(chords[: len(drums)] + drums)
    found = song.analyze([blocks], music.RATE, blocks.shape[1])
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    assert (found.key, found.camelot, found.open_key) == ("C# minor", "12A", "5m")
    assert found.duration_seconds == blocks.shape[1] / music.RATE


def test_length_is_that_of_the_song_not_of_the_excerpt() -> None:
    silence = np.zeros((2, 48_000), np.float32)
    found = song.analyze([silence], 48_000, 3_600 * 48_000)
    assert found.duration_seconds == 3_600.0
    assert found.sample_rate == 48_000


@pytest.mark.parametrize("samples", [1, 2, 511, 2_048, 30_000])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_songs_of_any_length_are_analysed(samples: int, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    found = song.analyze([level * noise], 44_100, samples)
    assert 40 <= found.bpm <= 240
    assert found.key
    assert 0.0 <= found.key_confidence <= 1.0


def test_no_song_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no samples"):
        song.analyze([], 44_100, 0)


@pytest.mark.parametrize("cancelled_at", [1, 2, 3])
def test_an_analysis_ends_soon_when_it_is_cancelled(cancelled_at: int) -> None:
    """At the next block, or at the next step once all blocks are read."""
    cancelled, read = Event(), []

    def blocks() -> Iterator[music.Mono]:
        for number in (1, 2, 3):
            if number == cancelled_at:
                cancelled.set()
            if number < 3:
                read.append(number)
                yield np.zeros((2, 44_100), np.float32)

    with pytest.raises(Cancelled):
        song.analyze(blocks(), 44_100, 88_200, cancelled)
    assert read == [1, 2][:cancelled_at]


def test_clients_read_it_as_json_of_plain_values() -> None:
    found = Analysis(123.45678, "C# minor", "12A", "5m", 0.87654, 1 / 3, 44_100)
    assert json.loads(json.dumps(found.to_dict())) == {
        "bpm": 123.46,
        "key": "C# minor",
        "camelot": "12A",
        "open_key": "5m",
        "key_confidence": 0.877,
        "duration": 0.333333,
        "sample_rate": 44_100,
    }


def test_analyses_have_values_that_json_knows() -> None:
    """NumPy's numbers are none."""
    song.warm_up()
    silence = np.zeros((2, 44_100), np.float32)
    json.dumps(song.analyze([silence], 44_100, 44_100).to_dict())
    noise = stereo(music.drums(120.0, seconds=5.0))
    json.dumps(song.analyze([noise], music.RATE, noise.shape[1]).to_dict())
