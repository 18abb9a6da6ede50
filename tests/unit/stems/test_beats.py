"""The settings choose the engine of beats; its weights are fetched like others."""

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from serve_app.analysis.song import warm_up
from serve_app.errors import WeightsUnavailable
from serve_app.separation.models import WeightsSource
from serve_app.settings import Settings
from serve_app.stems import beats
from serve_app.stems.beats import CHECKPOINTS, Checkpoint, engine_maker, listener_maker
from tests import beat_this_checkpoints
from tests.unit.separation import conftest

needs_beat_this = pytest.mark.skipif(
    importlib.util.find_spec("beat_this") is None, reason="needs the extra `beats`"
)

server = conftest.file_server


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Give the other tests their threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def settings(tmp_path: Path, mirror: str | None = None) -> Settings:
    return Settings(
        beats="beat-this-small",
        weights_dir=tmp_path / "weights",
        weights_mirror=mirror,
        weights_timeout_seconds=5,
    )


@needs_beat_this
def test_published_weights_are_fetched_once_resumed_checked_and_loaded(
    tmp_path: Path, server: conftest.FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_this_checkpoints.write(tmp_path / "made.ckpt", beat_this_checkpoints.NARROW)
    body = (tmp_path / "made.ckpt").read_bytes()
    source = WeightsSource(f"{server.url}/it.ckpt", hashlib.sha256(body).hexdigest())
    known = {"beat-this-small": Checkpoint("beat-this-small", source)}
    monkeypatch.setattr(beats, "CHECKPOINTS", known)
    server.files["it.ckpt"], server.cuts = body, 1
    make_engine = engine_maker(settings(tmp_path))
    assert server.asked_ranges == [None, f"bytes={len(body) // 2}-"]
    # The kind of engine is another one for each song, of one network.
    one, other = make_engine(), make_engine()
    assert one is not other
    assert type(one).__name__ == "BeatThisEngine"
    warm_up(make_engine)
    assert listener_maker(settings(tmp_path))(44_100, (1.0, 1.0))
    assert len(server.asked_ranges) == 2


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_other_weights_than_the_published_are_refused(
    name: str, tmp_path: Path, server: conftest.FileServer
) -> None:
    file = CHECKPOINTS[name].weights.filename
    server.files[file] = b"other weights"
    wanted = settings(tmp_path, server.url).model_copy(update={"beats": name})
    with pytest.raises(WeightsUnavailable, match="SHA-256"):
        engine_maker(wanted)
    assert not (tmp_path / "weights" / file).exists()


def test_a_mirror_without_the_weights_says_which_file_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"has no .*small0\.ckpt"):
        engine_maker(settings(tmp_path, str(tmp_path)))


BUILT_IN = """
import sys
from serve_app.stems.beats import engine_maker, listener_maker
from serve_app.settings import Settings
assert type(engine_maker(Settings())()).__name__ == "NetworkEngine"
assert listener_maker(Settings())(44_100, (1.0, 1.0))
assert "torch" not in sys.modules
"""


def test_what_is_built_in_needs_neither_weights_nor_torch() -> None:
    subprocess.run([sys.executable, "-c", BUILT_IN], check=True)
