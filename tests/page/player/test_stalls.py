"""What is heard when blocks come late, in an OfflineAudioContext."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.page.player.conftest import player_page
from tests.page.player.fake_jobs import RATE
from tests.page.player.server import Server

# Plays a sine whose blocks from the third on are there from `arrival` on, as the player
# does: what is loaded is scheduled ten times a second, and when a block arrives.
PLAY = """async ([arrival, rate]) => {
  const { Schedule } = await import('/page/player/schedule.js')
  const context = new OfflineAudioContext(1, 3 * rate, rate)
  const size = rate / 2
  let isThere = false
  const blocks = {
    want() {},
    peek(index) {
      if (index > 1 && !isThere) return null
      const sine = at => 0.5 * Math.sin((2 * Math.PI * 70 * (index * size + at)) / rate)
      return [Float32Array.from({ length: size }, (_, at) => sine(at))]
    },
  }
  const output = context.createGain()
  output.connect(context.destination)
  const options = { samples: 8 * size, blockSamples: size, output, ahead: 4 }
  const schedule = new Schedule(context, [{ blocks, output }], options)
  const stalls = []
  schedule.start(0)
  const pump = () => {
    schedule.pump(schedule.now + 2 * rate)
    stalls.push([context.currentTime, schedule.isStalled])
  }
  const later = (time, action) => context.suspend(time).then(action)
    .then(pump).then(() => context.resume())
  for (let tick = 1; tick < 30; tick++) later(tick / 10, () => {})
  later(arrival, () => { isThere = true })
  pump()
  const data = (await context.startRendering()).getChannelData(0)
  let text = ''
  const bytes = new Uint8Array(data.buffer)
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768))
  }
  return { data: btoa(text), stalls }
}"""
SINE = 0.5 * np.sin(2 * np.pi * 70 * np.arange(3 * RATE) / RATE)


@pytest.fixture(scope="module")
def page(chromium: Any, server: Server) -> Iterator[Any]:
    with player_page(chromium, server) as opened:
        yield opened


def played(page: Any, arrival: float) -> tuple[NDArray[Any], list[float]]:
    """Return what is heard, and the times at which the schedule was stalled."""
    answer = page.evaluate(PLAY, [arrival, RATE])
    heard = np.frombuffer(base64.b64decode(answer["data"]), np.float32)
    return heard, [time for time, is_stalled in answer["stalls"] if is_stalled]


@pytest.mark.parametrize("arrival", [0.55, 0.83, 0.97])
def test_a_block_that_comes_in_time_changes_nothing(page: Any, arrival: float) -> None:
    heard, stalls = played(page, arrival)
    assert stalls == []
    assert np.abs(heard - SINE).max() < 1e-6


@pytest.mark.parametrize("arrival", [0.991, 0.9965, 1.01, 1.33, 1.71])
def test_a_late_block_is_played_when_it_comes_without_a_click(
    page: Any, arrival: float
) -> None:
    heard, stalls = played(page, arrival)
    assert all(1 <= time < arrival for time in stalls)
    assert np.abs(heard[: round(0.99 * RATE)] - SINE[: round(0.99 * RATE)]).max() < 1e-6
    fade = 2 * 0.5 / (0.005 * RATE)
    assert np.abs(np.diff(heard)).max() <= np.abs(np.diff(SINE)).max() + fade
    silent = heard[RATE : round((arrival + 0.025) * RATE)]
    assert np.abs(silent).max() < 1e-6
    # From there on it is the rest, from the sample at which it stopped.
    begins = RATE + len(silent) + np.flatnonzero(heard[RATE + len(silent) :])[0]
    assert begins < (arrival + 0.05) * RATE
    rest = heard[begins + 221 :]
    assert np.abs(rest - SINE[RATE + 221 :][: len(rest)]).max() < 0.01
