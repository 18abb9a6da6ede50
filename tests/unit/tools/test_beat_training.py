"""Training songs are reproducible from their seeds, and their beats are in time."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.analysis import bar_network, network
from serve_app.analysis.features import BANDS
from tools.beat_training import (
    bars,
    composing,
    examples,
    plain,
    rendering,
    training,
)


@pytest.mark.parametrize("seed", range(6))
def test_a_seed_is_always_the_same_song_with_beats_in_order(seed: int) -> None:
    song = composing.compose(seed)
    assert song == composing.compose(seed)
    assert np.diff(song.beats).min() > 0.2
    assert set(song.downbeats) <= set(song.beats) | {song.downbeats[0]}
    starts = np.array([note.start for note in song.notes])
    assert song.beats[0] >= starts.min() - 0.05
    assert song.beats[-1] <= starts.max() + 0.05


def test_styles_have_whole_bars() -> None:
    for style in composing.STYLES.values():
        lengths = {len(line) for bar in style.drums for line in bar.values()}
        assert lengths == {style.beats * style.steps}


def test_synthesized_songs_sound_on_their_notes() -> None:
    song = composing.compose(3)
    mono = rendering.synthesize(song, 3)
    np.testing.assert_array_equal(mono, rendering.synthesize(song, 3))
    assert np.abs(mono).max() <= 1.2
    first = min(note.start for note in song.notes)
    loud = np.flatnonzero(np.abs(mono) > 0.1 * np.abs(mono).max())
    assert loud[0] / rendering.SAMPLE_RATE >= first - 0.01


def test_clicks_lie_on_the_beats_that_are_told() -> None:
    rng = np.random.default_rng(1)
    mono, beats, downbeats = plain.beaten(rng)
    at = round(beats[4] * rendering.SAMPLE_RATE)
    before, after = mono[at - 200 : at - 20], mono[at : at + 400]
    assert np.abs(after).max() > 2 * np.abs(before).max()
    assert set(downbeats) <= set(beats)


def test_targets_are_centred_to_a_fraction_of_a_frame() -> None:
    target = training.targets(np.array([10.25]), 20)
    frames = np.arange(20)
    assert (target * frames).sum() / target.sum() == pytest.approx(10.25, abs=0.02)
    assert not training.targets(np.array([-3.0, 25.0]), 20).any()


def test_crops_keep_beats_on_their_onsets() -> None:
    levels = np.full((3_000, BANDS), -9, np.float16)
    beats = np.arange(1, 58, 0.5)
    levels[np.rint(beats * 50).astype(int)] = 0
    example = (levels, beats, beats[::4])
    for seed in range(8):
        cut, target, tempo = training.crop(np.random.default_rng(seed), example)
        loud = cut.mean(axis=1)
        on = target[:, 0] > 0.6
        if on.any():
            assert loud[on].mean() > loud[~on].mean() + 0.05
        assert tempo.sum() == pytest.approx(1)


def test_rendered_pieces_are_read_with_their_truth(tmp_path: Path) -> None:
    source, folder = tmp_path / "music", tmp_path / "set"
    source.mkdir()
    soundfile.write(source / "a.flac", np.zeros((44_100, 2)), 44_100)
    truth = {"beats": [0.2, 0.7], "downbeats": [0.2], "style": "rock"}
    (source / "a.json").write_text(json.dumps(truth))
    examples.read(folder, source)
    [[(levels, beats, downbeats)]] = training.load([folder])
    assert levels.shape == (51, BANDS)
    assert beats.tolist() == [0.2, 0.7]
    assert downbeats.tolist() == [0.2]


def test_bars_are_read_from_songs_whose_beats_are_heard(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mono, beats, _ = plain.beaten(rng, 100, 140)
    examples.save(tmp_path / "right.npz", mono, beats, beats[::4], "plain")
    wrong = [beat + 0.2 for beat in beats]
    examples.save(tmp_path / "wrong.npz", mono, wrong, wrong[::4], "plain")
    beat_weights = Path(network.__file__).parent / "weights" / "beats.npz"
    [(features, is_first)] = bars.load([tmp_path], beat_weights)
    assert features.shape == (len(is_first), bar_network.FEATURES)
    assert is_first.mean() == pytest.approx(0.25, abs=0.1)


def test_bars_are_learned() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(200, bar_network.FEATURES)).astype(np.float32)
    is_first = (np.arange(200) % 4 == 0).astype(np.float32)
    features[:, 5] += 3 * is_first
    model = bars.fit([(features, is_first)], steps=160, seed=0)
    found = bar_network.run(bars.stacked([model]), features)
    assert found[is_first == 1].mean() > 2 * found[is_first == 0].mean()
