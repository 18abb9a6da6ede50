"""Beat This, with random weights in a checkpoint of the published form."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from serve_app.analysis import beat_this
from serve_app.analysis.beat_this import BeatThis, BeatThisEngine
from serve_app.analysis.network import Activations, NetworkEngine
from serve_app.analysis.rhythm import RhythmListener
from serve_app.errors import WeightsUnavailable
from tests import beat_this_checkpoints
from tests.unit.analysis import music

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("beat_this") is None, reason="needs the extra `beats`"
)

HOP = 441


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Restore the number of threads for other tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> BeatThis:
    """Return the real architecture, but narrower, so that 30 s take a moment."""
    path = tmp_path_factory.mktemp("weights") / "narrow.ckpt"
    beat_this_checkpoints.write(path, beat_this_checkpoints.NARROW)
    return beat_this.load(path)


def heard(network: BeatThis, song: music.Mono, block: int) -> Activations:
    engine = BeatThisEngine(network)
    for at in range(0, len(song), block):
        engine.add(song[at : at + block])
    return engine.activations()


def by_the_package(network: BeatThis, song: music.Mono) -> np.ndarray:
    from beat_this.inference import split_predict_aggregate
    from beat_this.preprocessing import LogMelSpect

    with torch.inference_mode():
        spectrogram = LogMelSpect()(torch.from_numpy(song))
        logits = split_predict_aggregate(
            *(spectrogram, 1500, 6, "keep_first", network.model)
        )
        both = [torch.sigmoid(logits[name]).numpy() for name in ("beat", "downbeat")]
    return np.stack(both, axis=1)


# An excerpt keeps 1488 frames, without 6 on each side: lengths near that are hard.
@pytest.mark.parametrize(
    "samples",
    [
        *(600, 4_410, 70 * music.RATE + 100),
        *(frames * HOP - 1 for frames in (1488, 1489, 1495, 2979)),
    ],
)
def test_a_song_is_heard_as_the_package_hears_it(
    network: BeatThis, samples: int
) -> None:
    song = music.noise(samples / music.RATE + 0.01, seed=samples)[:samples]
    told = heard(network, song, 10_000)
    expected = by_the_package(network, song)
    assert len(told.beats) == len(expected) == samples // HOP + 1
    assert expected.std() > 0.05
    np.testing.assert_allclose(told.beats, expected[:, 0], atol=1e-4)
    np.testing.assert_allclose(told.downbeats, expected[:, 1], atol=1e-4)


class Levels(torch.nn.Module):
    """Returns two bands of its input."""

    def forward(self, levels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"beat": levels[..., 10] - 4, "downbeat": levels[..., 100] - 4}


def test_it_gets_the_spectrogram_of_the_whole_song(network: BeatThis) -> None:
    told = BeatThis(network.front, Levels())
    song = music.noise(65)
    expected = by_the_package(told, song)
    assert expected.std() > 0.05
    beats = heard(told, song, 50_000).beats
    np.testing.assert_allclose(beats, expected[:, 0], atol=1e-5)


@pytest.mark.parametrize("block", [1_000, 44_099])
def test_blocks_of_any_length_are_heard_alike(network: BeatThis, block: int) -> None:
    song = music.drums(120, seconds=35)
    whole, parts = heard(network, song, len(song)), heard(network, song, block)
    np.testing.assert_array_equal(parts.beats, whole.beats)
    np.testing.assert_array_equal(parts.downbeats, whole.downbeats)


@pytest.mark.parametrize("samples", [0, 1, 440, 441, 512, 513])
def test_hardly_anything_is_heard_too(network: BeatThis, samples: int) -> None:
    told = heard(network, music.noise(1)[:samples], 100)
    beside = NetworkEngine()
    beside.add(music.noise(1)[:samples])
    assert told.beats.shape == beside.activations().beats.shape
    assert np.isfinite(told.beats).all()
    assert np.isfinite(told.downbeats).all()


def test_tempi_and_harmony_are_heard_by_the_built_in_network(network: BeatThis) -> None:
    song = music.drums(97, seconds=10)
    beside = NetworkEngine()
    beside.add(song)
    told, expected = heard(network, song, len(song)), beside.activations()
    np.testing.assert_array_equal(told.tempi, expected.tempi)
    np.testing.assert_array_equal(told.chroma, expected.chroma)


class Known(torch.nn.Module):
    """Detects beats in known frames of one excerpt, every fourth a downbeat."""

    def __init__(self, frames: np.ndarray) -> None:
        super().__init__()
        self.frames = torch.from_numpy(frames + 6)

    def forward(self, levels: torch.Tensor) -> dict[str, torch.Tensor]:
        beats, downbeats = torch.full((2, *levels.shape[:2]), -8.0)
        beats[:, self.frames] = 4.0
        downbeats[:, self.frames[::4]] = 4.0
        return {"beat": beats, "downbeat": downbeats}


def test_its_beats_are_repaired_by_the_grid(network: BeatThis) -> None:
    """Beats lie on frames of 20 ms, up to one frame early or late; two are missing."""
    late = np.random.default_rng(1).integers(-1, 2, 40)
    frames = np.rint(10 + np.arange(40) * 60 / 123.4 * 50).astype(int) + late
    known = BeatThis(network.front, Known(np.delete(frames, [13, 22])))
    listener = RhythmListener(lambda: BeatThisEngine(known))
    listener.add(music.drums(123.4, seconds=20))
    found = listener.result()
    assert found.grid is not None
    assert found.bpm == pytest.approx(123.4, abs=0.2)
    assert len(found.beats) in (40, 41)
    assert found.downbeats[1] - found.downbeats[0] == pytest.approx(
        4 * 60 / 123.4, abs=0.04
    )


def test_a_short_song_is_heard_once_more_as_a_loop() -> None:
    """The second engine is of the same kind."""
    made: list[NetworkEngine] = []

    def make() -> NetworkEngine:
        made.append(NetworkEngine())
        return made[-1]

    listener = RhythmListener(make)
    listener.add(music.drums(120, seconds=4))
    assert listener.result().bpm == pytest.approx(120)
    assert len(made) == 2


def test_of_a_long_song_no_more_than_a_minute_of_samples_is_kept(
    network: BeatThis,
) -> None:
    engine = BeatThisEngine(BeatThis(network.front, Known(np.arange(3))))
    for _ in range(300):
        engine.add(np.zeros(music.RATE, np.float32))
        assert len(engine._samples) < 61 * music.RATE
    assert len(engine.activations().beats) == 300 * 50 + 1


@pytest.mark.parametrize(
    ("form", "parameters"),
    [
        # About 20 and 2 million, as in the paper.
        (beat_this_checkpoints.FINAL, 20_251_712),
        (beat_this_checkpoints.SMALL, 2_099_960),
    ],
)
def test_both_published_forms_are_loaded_for_inference(
    tmp_path: Path, form: dict[str, object], parameters: int
) -> None:
    beat_this_checkpoints.write(tmp_path / "it.ckpt", form)
    torch.set_num_threads(2)
    network = beat_this.load(tmp_path / "it.ckpt")
    assert torch.get_num_threads() == 1
    assert not network.model.training
    values = list(network.model.parameters())
    assert not any(value.requires_grad for value in values)
    assert sum(value.numel() for value in values) == parameters


class Harmful:
    """An object that calls a function when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("harm",))


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": Harmful(), "hyper_parameters": {}},
        {"state_dict": {}, "hyper_parameters": {}},
        {"state_dict": {}, "hyper_parameters": {"transformer_dim": 100}},
        {"state_dict": {}, "hyper_parameters": {"transformer_dim": "wide"}},
        {"state_dict": [], "hyper_parameters": {}},
        {"hyper_parameters": {}},
        [1, 2],
        b"<html>404</html>",
        b"",
    ],
)
def test_what_is_no_checkpoint_is_refused_and_runs_nothing(
    tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "it.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(WeightsUnavailable, match="not a checkpoint of Beat This"):
        beat_this.load(path)
    assert "harm" not in capsys.readouterr().out
