"""What is heard: the sum of the stems' files, to the sample."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.encode import encoded_rate
from serve_app.audio.formats import parse
from serve_app.audio.resample import resampled
from tests.page.player.conftest import player_page
from tests.page.player.fake_jobs import (
    RATE,
    FakeJob,
    Samples,
    job_of,
    running,
    song,
)
from tests.page.player.server import Server

SECONDS = 6.0
# As JavaScript rounds: halves up.
FADE = int(0.005 * RATE + 0.5)
# Renders the song with the player's own code; `steps` are calls of its methods.
# `then` are calls at a time, while it plays.
RENDER = """async ([id, seconds, steps, rate, then, until]) => {
  const { Player } = await import('/page/player/player.js')
  const { Api } = await import('/page/lib/api.js')
  const starts = []
  const start = AudioBufferSourceNode.prototype.start
  AudioBufferSourceNode.prototype.start = function (when) {
    starts.push([Math.round(when * rate), when * rate])
    return start.call(this, when)
  }
  const job = await (await fetch(`/job/${id}`)).json()
  const context = new OfflineAudioContext(2, Math.round(seconds * rate), rate)
  const api = new Api('', { value: '', headers: {} })
  const player = new Player({ api, job, context })
  player.addEventListener('error', ({ detail }) => { throw detail })
  for (const [name, ...values] of steps) player[name](...values)
  await player.play()
  await player.fill(until)
  for (const [time, name, ...values] of then) {
    context.suspend(time).then(async () => {
      player[name](...values)
      await player.fill(seconds)
      context.resume()
    })
  }
  const rendered = await context.startRendering()
  AudioBufferSourceNode.prototype.start = start
  const data = new Float32Array(2 * rendered.length)
  data.set(rendered.getChannelData(0))
  data.set(rendered.getChannelData(1), rendered.length)
  player.close()
  let text = ''
  const bytes = new Uint8Array(data.buffer)
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768))
  }
  return { data: btoa(text), starts }
}"""


def rendered(
    page: Any,
    job: FakeJob,
    seconds: float,
    *steps: list[Any],
    rate: int = RATE,
    then: Sequence[list[Any]] = (),
    until: float | None = None,
) -> tuple[Samples, list[int]]:
    """Return what the player plays (2, samples), and the start frames of its blocks.

    Before it plays, sound is loaded `until` a time in seconds, or all of it.
    """
    until = seconds if until is None else until
    given = [job.view["job_id"], seconds, steps, rate, then, until]
    answer = page.evaluate(RENDER, given)
    data = np.frombuffer(base64.b64decode(answer["data"]), np.float32)
    for frame, exact in answer["starts"]:
        assert abs(frame - exact) < 1e-3
    return data.reshape(2, -1), [frame for frame, _ in answer["starts"]]


def decibels(difference: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the largest difference, relative to the largest sample."""
    largest = float(np.abs(difference).max())
    return 20 * np.log10(max(largest, 1e-12) / float(np.abs(reference).max()))


def as_pcm(samples: Samples) -> Samples:
    """Return samples as a 16-bit file has them."""
    return (np.rint(samples * 2**15) / 2**15).astype(np.float32)


@pytest.fixture(scope="module")
def stems() -> dict[str, Samples]:
    return {name: as_pcm(each) for name, each in song(SECONDS).items()}


@pytest.fixture(scope="module")
def job(
    stems: dict[str, Samples],
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> FakeJob:
    made = job_of(stems, tmp_path_factory.mktemp("stems"))
    server.add(made)
    return made


@pytest.fixture(scope="module")
def page(chromium: Any, server: Server) -> Iterator[Any]:
    """One page for all songs: each is rendered by a player of its own."""
    with player_page(chromium, server) as opened:
        yield opened


def mixed(stems: dict[str, Samples]) -> Samples:
    total: Samples = np.sum(list(stems.values()), axis=0)
    return total


def test_a_song_is_the_sum_of_its_stems(
    page: Any, job: FakeJob, stems: dict[str, Samples]
) -> None:
    heard, starts = rendered(page, job, SECONDS)
    expected = mixed(stems)
    assert decibels(heard - expected, expected) < -120
    # All stems of a block start together, blocks end to end.
    by_block = np.array(starts).reshape(-1, len(stems))
    assert (by_block == by_block[:, :1]).all()
    assert by_block[:, 0].tolist() == list(range(0, round(SECONDS * RATE), RATE // 2))


@pytest.mark.parametrize(
    ("format", "worst"), [("wav", -120.0), ("wav24", -120.0), ("wav32f", -120.0)]
)
def test_each_wav_is_played_as_it_is(
    page: Any, server: Server, tmp_path: Path, format: str, worst: float
) -> None:
    sound = song(2.0)
    job = job_of(sound, tmp_path, format)
    server.add(job)
    heard, _ = rendered(page, job, 2.0)
    steps = {"wav": 2**15, "wav24": 2**23, "wav32f": None}[format]
    stored = (
        sound.values()
        if steps is None
        else (np.rint(each * steps) / steps for each in sound.values())
    )
    expected = np.sum(list(stored), axis=0)
    assert decibels(heard - expected, expected) < worst


def loud(seconds: float) -> dict[str, Samples]:
    """Return stems of which some exceed full scale, by half of it."""
    return {name: 6 * each for name, each in song(seconds).items()}


@pytest.mark.parametrize("format", ["flac", "mp3", "m4a", "opus"])
def test_a_job_in_another_format_sounds_as_its_files(
    page: Any, server: Server, tmp_path: Path, format: str
) -> None:
    """Whose gain is below 1, because stems would exceed full scale."""
    job = job_of(loud(2.0), tmp_path, format, gain=0.6)
    server.add(job)
    heard, _ = rendered(page, job, 2.0)
    expected = np.sum([file_samples(job, name, tmp_path) for name in job.stems], axis=0)
    assert decibels(heard - expected, expected) < -100
    stems = f"/job/{job.view['job_id']}/stems/"
    paths = {path for path, _ in server.requests if path.startswith(stems)}
    assert len(paths) == 4
    assert all(path.endswith("?follow=1&format=wav32f") for path in paths)


def file_samples(job: FakeJob, name: str, folder: Path) -> Samples:
    """Return a stored stem, decoded and at the song's rate."""
    file, rate = job.stems[name], job.view["sample_rate"]
    path = folder / f"{name}{parse(job.view['format']).suffix}"
    path.write_bytes(file.read(0, file.size))
    stored = encoded_rate(parse(job.view["format"]), rate)
    blocks = resampled(read_blocks(path), stored, rate)
    samples: Samples = np.concatenate(list(blocks), axis=1)
    return samples[:, : round(job.view["duration"] * rate)]


def test_a_job_that_is_completed_while_it_plays_keeps_its_level_until_a_start(
    page: Any, server: Server, tmp_path: Path
) -> None:
    """Nothing is heard of the files taking over, and of their gain."""
    sound = loud(SECONDS)
    job = job_of(sound, tmp_path, gain=0.6)
    under_way = running(job, sound, 2 * RATE)
    under_way.stems = job.stems
    server.add(under_way)
    done = {**job.view, "job_id": under_way.view["job_id"]}
    then = [[1.0, "update", done], [4.0, "seek", 2.0]]
    heard, _ = rendered(page, under_way, SECONDS, then=then, until=1.5)
    expected = mixed(sound)
    until = 4 * RATE
    assert decibels(heard[:, :until] - expected[:, :until], expected) < -80
    after = heard[:, round(4.1 * RATE) :]
    seeked = 0.6 * expected[:, 2 * RATE :]
    lead = best_lead(after, seeked)
    found = seeked[:, lead : lead + after.shape[1]]
    assert decibels(after - found, found) < -80


def best_lead(part: Samples, whole: Samples) -> int:
    """Return where `part` begins in the first second of `whole`."""
    probe = part[0, :2048]
    products = np.correlate(whole[0, :RATE], probe, "valid")
    energy = np.convolve(whole[0, :RATE] ** 2, np.ones(len(probe)), "valid")
    return int(np.argmin(energy - 2 * products))


def test_a_seek_fades_in_for_5_ms_and_is_then_exact(
    page: Any, job: FakeJob, stems: dict[str, Samples]
) -> None:
    start = round(2.7183 * RATE)
    heard, _ = rendered(page, job, 1.5, ["seek", start / RATE])
    expected = mixed(stems)[:, start : start + heard.shape[1]].copy()
    expected[:, :FADE] *= (np.arange(FADE) + 0.5) / FADE
    assert decibels(heard - expected, expected) < -90


def test_a_loop_repeats_to_the_sample_and_fades_over_at_its_seam(
    page: Any, job: FakeJob, stems: dict[str, Samples]
) -> None:
    start, end = 50_001, 92_345
    song = mixed(stems)
    heard, _ = rendered(page, job, 5.0, ["loop", start / RATE, end / RATE])
    share = (np.arange(FADE) + 0.5) / FADE
    once = song[:, start:end].copy()
    once[:, -FADE:] = (1 - share) * once[:, -FADE:]
    once[:, -FADE:] += share * song[:, start - FADE : start]
    first = song[:, :end].copy()
    first[:, -FADE:] = once[:, -FADE:]
    expected = np.concatenate([first, *[once] * 4], axis=1)[:, : heard.shape[1]]
    assert decibels(heard - expected, expected) < -90


def test_a_loop_from_the_beginning_fades_over_from_silence(
    page: Any, job: FakeJob, stems: dict[str, Samples]
) -> None:
    end = RATE
    heard, _ = rendered(page, job, 2.5, ["loop", 0, 1])
    once = mixed(stems)[:, :end].copy()
    once[:, -FADE:] *= 1 - (np.arange(FADE) + 0.5) / FADE
    expected = np.concatenate([once] * 3, axis=1)[:, : heard.shape[1]]
    assert decibels(heard - expected, expected) < -90


@pytest.fixture(scope="module")
def tones(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FakeJob, Samples]:
    """Slow sines, in which a click is a large step; and their sum."""
    time = np.arange(4 * RATE) / RATE
    stems = {
        name: _sine(time, hertz)
        for name, hertz in {"vocals": 70.0, "drums": 90.0, "bass": 55.0}.items()
    }
    made = job_of(stems, tmp_path_factory.mktemp("tones"))
    server.add(made)
    return made, mixed(stems)


def _sine(time: NDArray[Any], hertz: float) -> Samples:
    return np.tile((0.2 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), (2, 1))


@pytest.mark.parametrize(
    ("steps", "then"),
    [
        ([["seek", 1.2345], ["loop", 0.7003, 1.9101]], []),
        ([], [[1.0, "pause"]]),
        ([], [[1.0, "seek", 2.7183]]),
        ([], [[1.0, "seek", 2.7183], [1.01, "seek", 0.333], [1.02, "pause"]]),
        ([["loop", 0.2057, 0.9003]], [[1.0, "unloop"]]),
        ([["loop", 0.2057, 0.9003]], [[0.866, "unloop"]]),
        ([], [[1.0, "loop", 0.5, 1.7003]]),
        ([], [[1.0, "loop", 0.5, 1.02]]),
        ([], [[1.0, "set", "vocals", {"muted": True}]]),
    ],
    ids=[
        "loop",
        "pause",
        "seek",
        "seeks",
        "unloop",
        "unloop late",
        "loop later",
        "loop now",
        "mute",
    ],
)
def test_nothing_clicks(
    page: Any,
    tones: tuple[FakeJob, Samples],
    steps: list[list[Any]],
    then: list[list[Any]],
) -> None:
    job, song = tones
    heard, _ = rendered(page, job, 3.0, *steps, then=then)
    largest = np.abs(np.diff(song)).max()
    # A fade of 5 ms adds its own slope.
    slope = 2 * np.abs(song).max() / FADE
    assert np.abs(np.diff(heard)).max() <= largest + slope
    assert np.abs(heard[:, : RATE // 2]).max() > 0.3


def test_a_loop_that_ends_shortly_before_its_seam_is_left(
    page: Any, tones: tuple[FakeJob, Samples]
) -> None:
    job, song = tones
    loop, off = ["loop", 0.2, 0.9003], [0.8, "unloop"]
    heard, _ = rendered(page, job, 2.0, loop, then=[off])
    assert decibels(heard - song[:, : heard.shape[1]], song) < -80


def test_a_pause_is_silent_after_its_fade(
    page: Any, tones: tuple[FakeJob, Samples]
) -> None:
    job, song = tones
    heard, _ = rendered(page, job, 2.0, then=[[1.0, "pause"]])
    assert decibels(heard[:, :RATE] - song[:, :RATE], song) < -80
    assert np.abs(heard[:, round(1.015 * RATE) :]).max() == 0


def test_a_seek_while_it_plays_goes_on_exactly(
    page: Any, tones: tuple[FakeJob, Samples]
) -> None:
    job, song = tones
    heard, _ = rendered(page, job, 2.0, then=[[1.0, "seek", 2.5]])
    begins = RATE + np.flatnonzero(np.abs(heard[0, RATE + 800 :]) > 0)[0] + 800
    assert begins < 1.05 * RATE
    assert (np.abs(heard[0, begins - 200 : begins]) == 0).all()
    after = heard[:, begins + FADE :]
    expected = song[:, round(2.5 * RATE) + FADE :][:, : after.shape[1]]
    assert decibels(after - expected, expected) < -60


def test_what_is_muted_is_not_heard(
    page: Any, job: FakeJob, stems: dict[str, Samples]
) -> None:
    heard, _ = rendered(
        page,
        job,
        2.0,
        ["set", "vocals", {"muted": True}],
        ["set", "drums", {"volume": 0.5}],
    )
    expected = (0.5 * stems["drums"] + stems["bass"] + stems["other"])[:, : 2 * RATE]
    assert decibels(heard - expected, expected) < -90


def test_what_is_soloed_is_heard_alone(
    page: Any, job: FakeJob, stems: dict[str, Samples]
) -> None:
    heard, _ = rendered(
        page,
        job,
        1.0,
        ["set", "bass", {"soloed": True}],
        ["set", "other", {"soloed": True, "muted": True}],
    )
    expected = stems["bass"][:, :RATE]
    assert decibels(heard - expected, expected) < -120


@pytest.mark.parametrize(("rate", "device"), [(44_100, 48_000), (96_000, 48_000)])
def test_at_another_rate_blocks_are_resampled_without_seams(
    page: Any, server: Server, tmp_path: Path, rate: int, device: int
) -> None:
    time = np.arange(2 * rate) / rate
    hertz = {"vocals": 440.0, "drums": 9_000.0, "bass": 55.0, "other": 15_000.0}
    tones = {name: _sine(time, each) for name, each in hertz.items()}
    job = job_of(tones, tmp_path, "wav32f", rate)
    server.add(job)
    heard, _ = rendered(page, job, 2.0, rate=device)
    at = np.arange(heard.shape[1]) / device
    expected = np.sum(
        [0.2 * np.sin(2 * np.pi * each * at) for each in hertz.values()], 0
    )
    # The song begins and ends abruptly: no resampler follows that.
    inside = slice(device // 20, -device // 20)
    assert decibels(heard[0, inside] - expected[inside], expected) < -80
