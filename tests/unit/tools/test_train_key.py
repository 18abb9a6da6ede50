"""Songs for the key network are reproducible, and are in their stated keys."""

import random

import mido
import numpy as np
import pytest

from tools.key_training import (
    composing,
    profiles,
    remixing,
    songs,
    synthesis,
    training,
)
from tools.key_training.network import KeyNetwork, registers
from tools.key_training.songs import Heard


@pytest.mark.parametrize("seed", [1, 2_001, 3_001])
def test_a_seed_makes_the_same_song(seed: int) -> None:
    assert composing.compose(seed) == composing.compose(seed)
    assert composing.compose(seed) != composing.compose(seed + 1)


def test_chords_are_read() -> None:
    assert composing.chord_of("9m") == (9, (9, 12, 16))
    assert composing.chord_of("2/7") == (2, (2, 6, 9, 12))
    assert composing.chord_of("10") == (10, (10, 14, 17))
    assert composing.chord_of("0p") == (0, (0, 7))
    with pytest.raises(ValueError, match="x"):
        composing.chord_of("x")


def test_chords_lie_in_their_key() -> None:
    draw = random.Random(1)
    for _ in range(200):
        part = composing.section(draw, 0, draw.random() < 0.5, 4)
        tonics = [root == 0 for root, _ in part.chords]
        assert len(part.chords) == 8
        assert any(tonics) or len(set(part.chords)) > 1


def test_notes_vote_for_the_key_of_a_scale() -> None:
    major = np.zeros(12)
    major[[0, 2, 4, 5, 7, 9, 11]] = [3, 1, 2, 1, 2, 1, 1]
    votes = profiles.votes(np.roll(major, 4))
    assert votes.argmax() == 4
    assert votes.sum() == pytest.approx(1)


def test_a_key_moves_in_its_mode() -> None:
    assert songs.moved(songs.key_of("Bb minor"), 3) == songs.key_of("C# minor")
    assert songs.moved(songs.key_of("A major"), -9) == songs.key_of("C major")


def test_a_synthesised_song_is_heard_in_its_key() -> None:
    song = composing.compose(2_000)
    samples = synthesis.play(song, 2_000)
    assert np.isfinite(samples).all()
    assert len(samples) > song.beats * 60 / song.bpm * songs.SAMPLE_RATE


def test_registers_share_each_pitch() -> None:
    np.testing.assert_allclose(registers().sum(0).numpy(), 1.0)


def test_training_lowers_the_loss() -> None:
    draw = np.random.default_rng(0)
    found = []
    for key in range(24):
        notes = np.zeros((8, 12), np.float32)
        steps = (0, 3, 7) if key >= 12 else (0, 4, 7)
        notes[:, [(key + step) % 12 for step in steps]] = 1
        strengths = np.tile(notes, (1, 7)) * draw.random((8, 84))
        keys = np.full(8, key)
        found.append(Heard("x", strengths.astype(np.float32), keys, notes, 0.5))
    losses: list[float] = []
    plan = training.Plan([training.Source(found, 1.0)], found, 6, 0.2, 0.2)
    network = training.train(plan, lambda step, loss, _: losses.append(loss))
    assert isinstance(network, KeyNetwork)
    assert losses[-1] < losses[0]


def test_a_key_has_the_name_it_is_read_from() -> None:
    assert [songs.key_of(songs.name_of(key)) for key in range(24)] == list(range(24))


def played(seconds: float) -> mido.MidiFile:
    """Return a piano file with a note each second; the last one never ends."""
    track = mido.MidiTrack([mido.Message("program_change", program=0)])
    for pitch in [*[60, 64, 67, 72] * (int(seconds) // 4), 48]:
        track.append(mido.Message("note_on", note=pitch, velocity=90))
        track.append(mido.Message("note_off", note=pitch, time=960))
    track.pop()
    return mido.MidiFile(ticks_per_beat=480, tracks=[track])


def pitches_of(song: mido.MidiFile) -> list[int]:
    return [message.note for message in song if message.type == "note_on"]


def test_a_seed_plays_a_real_file_anew_and_the_same_each_time() -> None:
    songs_played = [remixing.remixed(played(90), seed) for seed in (1, 1, 2)]
    first, again, other = (list(song) for song in songs_played)
    assert first == again != other


def test_a_real_file_is_transposed_as_a_whole_and_at_most_a_minute_is_played() -> None:
    for seed in range(8):
        song = remixing.remixed(played(90), seed)
        assert song.length <= 60
        if pitches_of(song):  # The player is left out now and then.
            steps = np.diff(pitches_of(song)).tolist()
            assert set(steps) <= {4, 3, 5, -12, -24}
            shift = max(pitches_of(song)) - 72
            assert -6 <= shift <= 6


def test_nothing_sounds_for_ever() -> None:
    ends = [m for m in remixing.remixed(played(20), 1) if m.type == "control_change"]
    silenced = {message.channel for message in ends if message.control == 123}
    assert silenced == set(range(16))
