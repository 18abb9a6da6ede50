"""A playback that is continued has the bytes of one that was never interrupted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serve_app.audio.wave import FLOAT32, PCM16, WavForm
from serve_app.jobs.job import State
from serve_app.separation.windows import GRID_SAMPLES, WindowSpec, plan
from serve_app.stems import stored_windows
from serve_app.stems.live_playback import Follower
from serve_app.stems.stored_windows import Layout, Samples, SongWindows
from serve_app.storage.local import LocalStorage
from tests.jobs import asking, new_job

SOURCES = ("drums", "bass", "other", "vocals")
HALVES = WindowSpec(4 * GRID_SAMPLES, 2 * GRID_SAMPLES)
QUARTERS = WindowSpec(4 * GRID_SAMPLES, GRID_SAMPLES)
RATE = 44_100


@pytest.fixture
def read() -> list[int]:
    """Return a list that records which windows are read."""
    return []


@pytest.fixture
def playback(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Callable[[int], bytes]]:
    """Store the windows of a song; return what plays it from a byte on."""
    load = stored_windows.load

    def recorded(storage: LocalStorage, job: str, engine: str, index: int) -> object:
        read.append(index)
        return load(storage, job, engine, index)

    monkeypatch.setattr(stored_windows, "load", recorded)

    def stored(
        spec: WindowSpec, samples: int, rate: int, form: WavForm = PCM16
    ) -> Callable[[int], bytes]:
        storage = LocalStorage(tmp_path / "files")
        job = new_job(state=State.RUNNING, owner="me", attempt=1)
        levels = {"mean": 0.02, "side_mean": -0.01, "deviation": 0.2}
        source = replace(
            job.request.source,
            samples=samples * rate // RATE,
            sample_rate=rate,
            **levels,  # type: ignore[arg-type]
        )
        job = asking(job, source=source)
        layout = Layout("engine", SOURCES, RATE, spec)
        store(storage, tmp_path, job.id, layout, len(plan(samples, spec)))

        def play(start_bytes: int) -> bytes:
            follower = Follower(lambda: job, storage, "drums", form)
            chunks, heard = follower.chunks(start_bytes), []
            while follower.is_ready():
                heard.append(next(chunks))
            return b"".join(heard)

        return play

    return stored


def store(
    storage: LocalStorage, place: Path, job_id: str, layout: Layout, count: int
) -> None:
    noise = np.random.default_rng(count)
    shape = (len(SOURCES), 2, layout.window.window_samples)
    with SongWindows(storage, place, job_id, 1, layout) as windows:
        for index in range(count):
            window: Samples = noise.standard_normal(shape).astype(np.float32)
            windows.keep(index, window)
            windows._waiting[-1].result(10)


# Lengths after which the last window is moved back by nothing, a bit, or nearly a hop.
@pytest.mark.parametrize("beyond", [0, 1, GRID_SAMPLES, 2 * GRID_SAMPLES - 1])
@pytest.mark.parametrize("spec", [HALVES, QUARTERS], ids=["halves", "quarters"])
def test_it_may_be_continued_at_any_byte(
    playback: Callable[..., Callable[[int], bytes]], spec: WindowSpec, beyond: int
) -> None:
    """Within the header, a sample, a cross-fade, and on all edges of windows."""
    samples = spec.window_samples + 5 * spec.hop_samples + beyond
    play = playback(spec, samples, RATE)
    whole = play(0)
    assert len(whole) == PCM16.size_bytes(samples)
    edges = [PCM16.size_bytes(start) for start in plan(samples, spec)]
    near = {max(0, edge + by) for edge in edges for by in (-4, -1, 0, 1, 4, 9000)}
    for start in sorted({0, 1, 20, 43, 44, 45, len(whole) - 1, *near}):
        assert play(start) == whole[start:], start


def test_a_song_at_another_rate_is_continued_too(
    playback: Callable[..., Callable[[int], bytes]],
) -> None:
    play = playback(QUARTERS, 60_000, 48_000)
    whole = play(0)
    assert len(whole) > PCM16.size_bytes(48_000)
    for start in (0, 44, 45, 30_001, 100_002, len(whole) - 5):
        assert play(start) == whole[start:], start


def test_floats_are_continued_too(
    playback: Callable[..., Callable[[int], bytes]],
) -> None:
    samples = QUARTERS.window_samples + 5 * QUARTERS.hop_samples
    play = playback(QUARTERS, samples, RATE, FLOAT32)
    whole = play(0)
    assert len(whole) == FLOAT32.size_bytes(samples)
    for start in (1, 57, 58, 59, 65, 66, 100_003, len(whole) - 5):
        assert play(start) == whole[start:], start


def test_few_windows_are_read_again(
    playback: Callable[..., Callable[[int], bytes]], read: list[int]
) -> None:
    """So that many listeners can come back at once."""
    samples = QUARTERS.window_samples + 40 * QUARTERS.hop_samples
    play = playback(QUARTERS, samples, RATE)
    read.clear()
    assert len(play(PCM16.size_bytes(samples) - 4)) == 4
    assert read == [0, 38, 39, 40]


def test_it_does_not_block_until_the_windows_before_it_are_there(
    playback: Callable[..., Callable[[int], bytes]], tmp_path: Path
) -> None:
    """A client may request what is not separated yet."""
    samples = QUARTERS.window_samples + 10 * QUARTERS.hop_samples
    play = playback(QUARTERS, samples, RATE)
    whole = play(0)
    (missing,) = tmp_path.rglob("000005.npy")
    content = missing.read_bytes()
    missing.unlink()
    start = PCM16.size_bytes(7 * QUARTERS.hop_samples)
    assert play(start) == b""
    # This one does not need it.
    assert play(len(whole) - 4) == whole[-4:]
    missing.write_bytes(content)
    assert play(start) == whole[start:]
