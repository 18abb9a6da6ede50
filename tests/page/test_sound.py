"""What is heard: the sum of the stems' files, to the sample."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.page.fake_jobs import RATE, FakeJob, Samples, job_of, song
from tests.page.server import Server

SECONDS = 6.0
FADE = round(0.005 * RATE)
# Renders the song with the player's own code; `steps` are calls of its methods.
RENDER = """async ([id, seconds, steps, rate]) => {
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
  const player = new Player({ api: new Api('', { value: '', headers: {} }), job, context })
  player.addEventListener('error', ({ detail }) => { throw detail })
  for (const [name, ...values] of steps) player[name](...values)
  await player.play()
  await player.fill(seconds)
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
    page: Any, job: FakeJob, seconds: float, *steps: list[Any], rate: int = RATE
) -> tuple[Samples, list[int]]:
    """Return what the player plays (2, samples), and the start frames of its blocks."""
    answer = page.evaluate(RENDER, [job.view["job_id"], seconds, steps, rate])
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


@pytest.fixture
def job(stems: dict[str, Samples], server: Server, tmp_path: Path) -> FakeJob:
    made = job_of(stems, tmp_path)
    server.add(made)
    return made


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
