"""Playing in real time: how soon, through stalls and restarts, and while a job runs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.audio.wave import PCM16
from tests.page.player.conftest import player_page
from tests.page.player.fake_jobs import (
    RATE,
    Content,
    FakeJob,
    job_of,
    running,
    song,
)
from tests.page.player.server import Server

OPEN = """async id => {
  const { Player } = await import('/page/player/player.js')
  const { Api } = await import('/page/lib/api.js')
  const job = await (await fetch(`/job/${id}`)).json()
  const api = new Api('', { value: '', headers: {} })
  window.player?.close()
  window.events = []
  window.player = new Player({ api, job })
  for (const name of ['stall', 'error']) {
    player.addEventListener(name, ({ detail }) => {
      events.push(name === 'stall' ? `stall ${player.isStalled}` : detail.message)
    })
  }
}"""
# The time from the call until a sample that is not silent is at the output.
FIRST_SOUND = """async id => {
  const { Player } = await import('/page/player/player.js')
  const { Api } = await import('/page/lib/api.js')
  const began = performance.now()
  const job = await (await fetch(`/job/${id}`)).json()
  const api = new Api('', { value: '', headers: {} })
  window.player = new Player({ api, job })
  await player.play()
  while (Math.max(...player.levels()) < 0.01) {
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return performance.now() - began
}"""


def wait_until(page: Any, condition: str, seconds: float = 10.0) -> None:
    # Playwright's own waiting evaluates strings, which the page's policy refuses.
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not in {seconds} s: {condition}"
        page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def job(server: Server, tmp_path_factory: pytest.TempPathFactory) -> FakeJob:
    made = job_of(song(8.0), tmp_path_factory.mktemp("stems"))
    server.add(made)
    return made


@pytest.fixture(scope="module")
def page(chromium: Any, server: Server) -> Iterator[Any]:
    with player_page(chromium, server) as opened:
        yield opened


def endless(seconds: float, folder: Path) -> FakeJob:
    """A completed wav job of any length, whose sound repeats each 5 seconds."""
    period = {name: PCM16.data(each) for name, each in song(5.0).items()}
    samples = round(seconds * RATE)
    header = PCM16.header(samples, RATE)

    def reader(data: bytes) -> Callable[[int, int], bytes]:
        def read(start: int, end: int) -> bytes:
            if start < 44:
                return (header + data)[start:end]
            first = (start - 44) % len(data)
            times = (first + end - start) // len(data) + 1
            return (data * times)[first : first + end - start]

        return read

    made = job_of(song(1.0), folder)
    stems = {
        name: Content(44 + 4 * samples, reader(each)) for name, each in period.items()
    }
    made.view["duration"] = seconds
    for name, content in stems.items():
        made.view["stems"][name]["size"] = content.size
    return FakeJob(made.view, stems, made.playbacks, made.waveforms)


def test_the_first_sound_of_a_song_of_4_minutes_comes_within_2_seconds(
    page: Any, server: Server, tmp_path: Path
) -> None:
    job = endless(240.0, tmp_path)
    milliseconds = page.evaluate(FIRST_SOUND, server.add(job))
    print(f"first sound after {milliseconds:.0f} ms")
    assert milliseconds < 2_000


def test_a_running_job_is_played_as_far_as_it_is_done(
    page: Any, server: Server, job: FakeJob
) -> None:
    growing = running(job, song(8.0), 2 * RATE)
    page.evaluate(OPEN, server.add(growing))
    assert page.evaluate("player.ready") == pytest.approx(2.0, abs=0.01)
    page.evaluate("player.play()")
    # What is done is played to its end, which lies in the block before.
    wait_until(page, "player.isStalled && player.position > 1.4")
    assert page.evaluate("player.position") <= 2.0
    assert growing.growing is not None
    growing.growing.grow(5 * RATE)
    wait_until(page, "player.position > 2.5")
    assert page.evaluate("events")[-2:] == ["stall true", "stall false"]
    assert page.evaluate("player.ready") >= 4.0


def test_a_job_that_is_completed_meanwhile_plays_on_from_its_files(
    page: Any, server: Server, tmp_path: Path
) -> None:
    """At its level, until it is started again: then with the gain of the files."""
    job = job_of(song(8.0), tmp_path, gain=0.25)
    growing = running(job, song(8.0), 2 * RATE)
    page.evaluate(OPEN, server.add(growing))
    page.evaluate("player.play()")
    wait_until(page, "Math.max(...player.levels()) > 0.15")
    wait_until(page, "player.isStalled && player.position > 1.4")
    growing.stems = job.stems
    server.requests.clear()
    done = {**job.view, "job_id": growing.view["job_id"]}
    page.evaluate("job => player.update(job)", done)
    wait_until(page, "player.position > 2.5")
    wait_until(page, "Math.max(...player.levels()) > 0.15")
    paths = {path for path, _ in server.requests if "/stems/" in path}
    assert len(paths) == 4
    assert not any("follow" in path for path in paths)
    page.evaluate("player.seek(4)")
    wait_until(page, "player.position > 4.1")
    levels = [max(page.evaluate("[...player.levels()]")) for _ in range(20)]
    assert 0.02 < max(levels) <= 0.25 * 0.25 + 0.001
    assert growing.growing is not None
    growing.growing.grow(8 * RATE)


def test_a_server_that_restarts_only_delays_the_sound(
    page: Any, server: Server, job: FakeJob
) -> None:
    page.evaluate(OPEN, server.add(job))
    wait_until(page, "player.isPlaying === false")
    page.wait_for_timeout(300)
    server.failures = [503] * 6
    page.evaluate("player.seek(6)")
    page.evaluate("player.play()")
    wait_until(page, "player.position > 6.3")
    assert server.failures == []
    assert not [event for event in page.evaluate("events") if "stall" not in event]


def test_an_error_that_stays_is_told_and_play_tries_again(
    page: Any, server: Server, job: FakeJob
) -> None:
    page.evaluate(OPEN, server.add(job))
    page.wait_for_timeout(300)
    server.failures = [404] * 4
    page.evaluate("player.seek(6)")
    # Once for each stem.
    wait_until(
        page, "events.filter(each => each === 'The server is busy.').length === 4"
    )
    assert page.evaluate("player.isPlaying") is False
    server.failures = []
    page.evaluate("player.play()")
    wait_until(page, "player.position > 6.3")


def test_the_end_of_a_song_stops_the_player_and_play_begins_anew(
    page: Any, server: Server, job: FakeJob
) -> None:
    page.evaluate(OPEN, server.add(job))
    page.evaluate("player.seek(7.6)")
    page.evaluate("player.play()")
    wait_until(page, "!player.isPlaying && player.position === 8")
    page.evaluate("player.play()")
    wait_until(page, "player.position > 0.2 && player.position < 4")


def test_few_connections_are_open_while_windows_are_awaited(
    page: Any, server: Server, job: FakeJob
) -> None:
    growing = running(job, song(8.0), 0)
    page.evaluate(OPEN, server.add(growing))
    page.evaluate("player.play()")
    page.wait_for_timeout(500)
    path = f"/job/{growing.view['job_id']}/stems/"
    assert len([each for each, _ in server.requests if each.startswith(path)]) == 2
    assert growing.growing is not None
    growing.growing.grow(8 * RATE)
    wait_until(page, "player.position > 0.2")
