"""The page in a real browser, of the whole service: from a song to its stems."""

import io
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import browser, media
from tests.page.views.opened import Opened, opened
from tests.serve.service import STEMS, Service, replica_processes
from tests.unit.analysis import music

TIMEOUT_MS = 90_000
# The stems with a waveform: many pixels that are not of the grid.
DRAWN = """() => [...document.querySelectorAll('[data-stem]')].filter(stem => {
  const canvas = stem.querySelector('canvas')
  const { width, height } = canvas
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
  return data.filter((value, at) => at % 4 === 3 && value > 200).length > 1000
}).map(stem => stem.dataset.stem)"""
PROGRESS = "document.querySelector('progress')?.value"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.launched() as chromium:
        yield chromium


@pytest.fixture
def page(chromium: Any, service: Service) -> Iterator[Opened]:
    """The page, as who opens the service's address finds it."""
    found = opened(chromium, service, "/")
    found.page.set_default_timeout(TIMEOUT_MS)
    yield found
    found.context.close()
    found.check()


def write_song(directory: Path, name: str, seconds: float) -> Path:
    path = directory / name
    media.write_song(path, "mp3", seconds=seconds)
    return path


def write_music(path: Path, seconds: int) -> Path:
    """Write a song of which several stems are loud."""
    notes = np.sum([music.tone(pitch, 1.0) for pitch in (33, 60, 64, 67)], axis=0)
    wave = 0.4 * music.drums(120.0, seconds) + 0.1 * np.tile(notes, seconds)
    media.soundfile.write(path, wave, music.RATE, format="MP3")
    return path


def send(page: Opened, song: Path) -> str:
    """Drop a song; return its job's id."""
    page.page.get_by_role("heading", name="Separate a song").wait_for()
    page.drop((song.name, song.read_bytes()))
    page.page.wait_for_url("**/page/songs/*")
    return str(page.page.url.rpartition("/")[2])


def press(page: Opened, name: str) -> None:
    button = page.page.get_by_role("button", name=name, exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"


def wait_until(page: Opened, expression: str, expected: Any) -> None:
    """Wait until an expression has a value: the policy lets no page evaluate one."""
    end = time.monotonic() + TIMEOUT_MS / 1000
    while (found := page.page.evaluate(expression)) != expected:
        assert time.monotonic() < end, (expression, found)
        time.sleep(0.1)


def test_a_song_is_dropped_separated_played_and_taken_away(
    page: Opened, service: Service, tmp_path: Path
) -> None:
    name = "<img src=x onerror=alert(1)>.mp3"
    job_id = send(page, write_music(tmp_path / name, 40))
    seen = set()
    while not page.page.get_by_text("Take away").is_visible():
        seen.add(page.page.evaluate(PROGRESS))
        time.sleep(0.05)
    assert len(seen) > 2, "the progress moves"
    page.page.get_by_role("heading", name=name).wait_for()
    job = service.job(job_id)
    waves = service.stems(job, tmp_path)
    loud = {name for name, wave in waves.items() if abs(wave).max() > 0.1}
    assert len(loud) > 1
    assert page.page.locator("[data-stem]").count() == len(STEMS)
    drawn = f"{sorted(loud)}.every(name => ({DRAWN})().includes(name))"
    wait_until(page, drawn, True)
    page.page.keyboard.press("Space")
    played = "document.querySelector('.position').textContent >= '0:03.0'"
    wait_until(page, played, True)
    press(page, "Solo Drums")
    press(page, "Loop")
    with page.page.expect_download() as download:
        page.file("All stems as a zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        found = sorted(archive.read(name) for name in archive.namelist())
    assert found == sorted(service.stem(job, name) for name in STEMS)


def test_a_mix_of_what_is_heard_is_made_by_the_server(
    page: Opened, service: Service, tmp_path: Path
) -> None:
    job_id = send(page, write_song(tmp_path, "mix.mp3", 4.0))
    page.see("Take away")
    press(page, "Mute Vocals")
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name="Make the mix").click()
    data = Path(download.value.path()).read_bytes()
    assert data[:4] == b"RIFF"
    assert re.search(r"bass|drums|other", download.value.suggested_filename)
    waves = service.stems(service.job(job_id), tmp_path)
    heard = waves["drums"] + waves["bass"] + waves["other"]
    mix, _ = media.soundfile.read(io.BytesIO(data), dtype="float32")
    assert abs(mix - heard).max() <= 2 / 32768


def test_a_song_is_cancelled_and_what_is_no_song_is_refused(
    page: Opened, service: Service, tmp_path: Path
) -> None:
    job_id = send(page, write_song(tmp_path, "second.mp3", 120.0))
    page.page.get_by_role("button", name="Cancel").first.click()
    page.page.get_by_role("button", name="Cancel").last.click()
    page.page.get_by_role("heading", name="Separate a song").wait_for()
    assert job_id not in [job["job_id"] for job in service.listed()]
    page.drop(("broken.mp3", b"no sound at all" * 1000))
    page.see("broken.mp3")
    page.page.get_by_role("alert").filter(has_text=re.compile("audio")).wait_for()


def test_the_page_comes_back_when_the_server_was_away(
    page: Opened, service: Service, tmp_path: Path
) -> None:
    send(page, write_song(tmp_path, "third.mp3", 60.0))
    page.page.get_by_role("heading", name="third.mp3").wait_for()
    for process in replica_processes("Api"):
        process.kill()
    page.see("Take away")
    assert page.page.get_by_text("The server does not answer.").is_hidden()
