"""The player as people use it: by pointer, by keys, by touch, in three languages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.page.player.conftest import player_page
from tests.page.player.fake_jobs import RATE, FakeJob, job_of, running, song
from tests.page.player.server import Server
from tests.page.player.test_playing import wait_until

MOUNT = """async ([id, language]) => {
  const { mountPlayer } = await import('/page/player/controls.js')
  const { Api } = await import('/page/lib/api.js')
  const texts = (await import(`/page/texts/player.${language}.js`)).default
  const t = (name, values = {}) => (texts[name] ?? name)
    .replace(/\\{(\\w+)\\}/g, (whole, key) => values[key] ?? whole)
  const job = await (await fetch(`/job/${id}`)).json()
  const api = new Api('', { value: '', headers: {} })
  window.player?.close()
  window.player = mountPlayer(document.getElementById('main'), { api, job, t })
  const ruler = document.querySelector('.ruler')
  window.at = () => Number(ruler.getAttribute('aria-valuenow'))
}"""
# The number of pixels of a canvas that are not transparent or of the grid.
PAINTED = """selector => {
  const canvas = document.querySelector(selector)
  const context = canvas.getContext('2d')
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
  let painted = 0
  for (let at = 3; at < data.length; at += 4) painted += Number(data[at] > 200)
  return painted
}"""

TARGETS = """() => [...document.querySelectorAll('button, input, a')]
  .filter(node => node.checkVisibility())
  .map(node => [node.type, node.getBoundingClientRect()])
  .map(([type, { width, height, right }]) => [type, width, height, right])"""


@pytest.fixture(scope="module")
def job(server: Server, tmp_path_factory: pytest.TempPathFactory) -> FakeJob:
    made = job_of(song(30.0), tmp_path_factory.mktemp("stems"))
    server.add(made)
    return made


@pytest.fixture(scope="module")
def opened(chromium: Any, server: Server) -> Iterator[Any]:
    with player_page(chromium, server) as page:
        yield page


@pytest.fixture
def page(opened: Any, job: FakeJob) -> Any:
    opened.evaluate(MOUNT, [job.view["job_id"], "en"])
    return opened


def pressed(page: Any, name: str) -> bool:
    button = page.get_by_role("button", name=name, exact=True)
    return bool(button.get_attribute("aria-pressed") == "true")


def test_a_song_is_played_by_the_keyboard_alone(page: Any) -> None:
    page.keyboard.press("Space")
    wait_until(page, "document.querySelector('.position').textContent >= '0:00.3'")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("at()") == 2
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator(".position").text_content() == "0:03.5"
    page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate("at()") == 2
    page.keyboard.press("End")
    assert page.evaluate("at()") == 30
    page.keyboard.press("Home")
    assert page.evaluate("at()") == 0


def test_digits_mute_and_solo_stems(page: Any) -> None:
    page.keyboard.press("m")
    page.keyboard.press("1")
    assert pressed(page, "Mute Vocals")
    page.keyboard.press("s")
    page.keyboard.press("3")
    assert pressed(page, "Solo Bass")
    assert page.evaluate("player.gains()") == {
        "vocals": 0, "drums": 0, "bass": 1, "other": 0,
    }  # fmt: skip
    page.get_by_text("Bass solo", exact=True).wait_for(state="attached")


def test_a_loop_is_of_four_bars_and_can_be_written(page: Any) -> None:
    page.keyboard.press("l")
    start = page.get_by_label("Start of the loop")
    end = page.get_by_label("End of the loop")
    assert (start.input_value(), end.input_value()) == ("0:00.00", "0:08.00")
    start.fill("0:02,5")
    start.press("Enter")
    assert start.input_value() == "0:02.50"
    assert pressed(page, "Loop")


@pytest.mark.parametrize("wrong", ["soon", "0:31", "-1", "1:2:3:4"])
def test_a_wrong_time_is_said_beside_its_field_and_taken_back(
    page: Any, wrong: str
) -> None:
    page.keyboard.press("l")
    end = page.get_by_label("End of the loop")
    said = page.locator(f"#{end.get_attribute('aria-describedby')}")
    end.fill(wrong)
    end.press("Enter")
    assert end.get_attribute("aria-invalid") == "true"
    assert said.text_content().startswith(
        f"\u201c{wrong}\u201d is not a time up to 0:30."
    )
    # What else happens leaves it as it is, also when the focus is elsewhere.
    page.get_by_role("button", name="Mute Vocals").click()
    assert end.input_value() == wrong
    assert said.is_visible()
    end.press("Escape")
    assert end.input_value() == "0:08.00"
    assert end.get_attribute("aria-invalid") is None
    assert said.is_hidden()
    end.blur()
    assert pressed(page, "Loop")


def test_a_loop_that_is_set_otherwise_ends_the_complaint(page: Any) -> None:
    start = page.get_by_label("Start of the loop")
    start.fill("x")
    start.press("Enter")
    page.get_by_role("button", name="Loop", exact=True).click()
    assert start.input_value() == "0:00.00"
    assert page.locator("#loop-wrong").is_hidden()
    start.fill(" ")
    start.press("Enter")
    assert start.input_value() == "0:00.00"
    assert page.locator("#loop-wrong").is_hidden()


def test_a_loop_before_the_position_is_begun(page: Any) -> None:
    page.keyboard.press("End")
    page.get_by_label("Start of the loop").fill("0:02")
    page.get_by_label("Start of the loop").press("Enter")
    page.get_by_label("End of the loop").fill("0:04")
    page.get_by_label("End of the loop").press("Enter")
    assert page.evaluate("at()") == 2


def test_a_drag_seeks_and_with_shift_sets_a_loop_on_beats(page: Any) -> None:
    box = page.locator(".lane").nth(1).bounding_box()
    middle = box["y"] + box["height"] / 2

    def x(seconds: float) -> float:
        return float(box["x"] + box["width"] * seconds / 30)

    page.mouse.move(x(5), middle)
    page.mouse.down()
    page.mouse.move(x(12), middle, steps=4)
    page.mouse.up()
    assert page.evaluate("at()") in (11, 12)
    page.keyboard.down("Shift")
    page.mouse.move(x(10.1), middle)
    page.mouse.down()
    page.mouse.move(x(14.05), middle, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert page.get_by_label("Start of the loop").input_value() == "0:10.00"
    assert page.get_by_label("End of the loop").input_value() == "0:14.00"


def test_waveforms_are_drawn_and_zoomed_tiles_are_loaded(
    page: Any, server: Server
) -> None:
    wait_until(page, f"({PAINTED})('.lane canvas') > 2000")
    server.requests.clear()
    for _ in range(3):
        page.keyboard.press("+")
    wait_until(page, f"({PAINTED})('[data-stem=bass] canvas') > 2000")
    page.wait_for_timeout(300)
    tiles = [path for path, _ in server.requests if "pixels_per_second" in path]
    assert {path.split("stem=")[1].split("&")[0] for path in tiles} == {
        "vocals", "drums", "bass", "other",
    }  # fmt: skip


def test_the_tempo_is_shown_at_half_and_double(page: Any) -> None:
    tempo = page.locator(".bpm")
    shown = []
    for _ in range(4):
        shown.append(tempo.text_content())
        tempo.click()
    times = "\N{MULTIPLICATION SIGN}"
    half, double = (
        f"60.0 BPM {times}\N{VULGAR FRACTION ONE HALF}",
        f"240.0 BPM {times}2",
    )
    assert shown == ["120.0 BPM", half, double, "120.0 BPM"]


def test_keys_can_be_turned_off_except_on_the_position(page: Any) -> None:
    page.keyboard.press("?")
    page.get_by_label("Keyboard shortcuts work on the whole page").uncheck()
    page.get_by_role("button", name="Close").click()
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("End")
    assert page.evaluate("at()") == 0
    page.get_by_role("slider", name="Position").focus()
    page.keyboard.press("End")
    assert page.evaluate("at()") == 30


def test_a_field_keeps_its_keys(page: Any) -> None:
    field = page.get_by_label("Start of the loop")
    field.focus()
    page.keyboard.press("l")
    page.keyboard.press("End")
    assert not pressed(page, "Loop")
    assert page.evaluate("at()") == 0


def test_what_is_not_done_yet_is_drawn_as_pending(
    page: Any, server: Server, job: FakeJob
) -> None:
    growing = running(job, song(30.0), 10 * RATE)
    page.evaluate(MOUNT, [server.add(growing), "en"])
    page.wait_for_timeout(200)
    lane = page.locator(".lane").first.bounding_box()
    pending = page.locator(".pending").first.bounding_box()
    done = (pending["x"] - lane["x"]) / lane["width"]
    assert done == pytest.approx(1 / 3, abs=0.01)
    status = page.get_by_role("status").first.text_content()
    assert status == "0:09 of 0:30 can be played already."
    page.evaluate("job => player.update(job)", {**job.view})
    page.wait_for_timeout(200)
    assert page.locator(".pending").first.is_hidden()


# For each column of the first lane, whether anything is painted there.
COLUMNS = """() => {
  const canvas = document.querySelector('.lane canvas')
  const { width, height } = canvas
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
  const isPainted = x => Array.from({ length: height }, (_, y) => y)
    .some(y => data[4 * (y * width + x) + 3] > 200)
  return Array.from({ length: width }, (_, x) => isPainted(x))
}"""


def test_what_is_played_of_a_running_job_is_drawn_and_the_rest_is_no_silence(
    page: Any, server: Server, job: FakeJob
) -> None:
    growing = running(job, song(30.0), 10 * RATE)
    growing.view["analysis"] = None
    growing.waveforms = job.waveforms
    page.evaluate(MOUNT, [server.add(growing), "en"])
    loading = page.locator(".loading").first
    assert loading.is_visible()
    assert not any(page.evaluate(COLUMNS))
    page.locator("button.play").click()
    wait_until(page, "document.querySelector('.position').textContent >= '0:00.6'")
    page.locator("button.play").click()
    columns = np.array(page.evaluate(COLUMNS))
    drawn = columns.argmin() / len(columns)
    assert 1 / 30 < drawn <= 10.1 / 30
    assert not columns[columns.argmin() :].any()
    assert loading.is_visible()
    done = {**job.view, "job_id": growing.view["job_id"], "analysis": None}
    page.evaluate("job => player.update(job)", done)
    wait_until(page, "document.querySelector('.loading').hidden")
    wait_until(page, f"({COLUMNS})().every(each => each)")
    assert growing.growing is not None
    growing.growing.grow(30 * RATE)


def test_a_waveform_that_can_t_be_loaded_does_not_seem_to_be_loading(
    page: Any, server: Server, tmp_path: Path
) -> None:
    made = job_of({"drums": song(1.0)["drums"]}, tmp_path)
    made.waveforms = {}
    page.evaluate(MOUNT, [server.add(made), "en"])
    wait_until(page, "document.querySelector('.loading').hidden")
    assert page.get_by_role("alert").text_content() == "The job has no result yet."


@pytest.mark.parametrize(
    ("motion", "animation"), [("reduce", "none"), ("no-preference", "loading")]
)
def test_who_wants_no_motion_sees_none(
    chromium: Any, server: Server, job: FakeJob, motion: str, animation: str
) -> None:
    growing = running(job, {}, 0)
    with player_page(chromium, server, reduced_motion=motion) as page:
        page.evaluate(MOUNT, [server.add(growing), "en"])
        style = "getComputedStyle(document.querySelector('.loading'))"
        assert page.evaluate(f"{style}.animationName") == animation


def test_a_stem_with_a_hostile_name_stays_text(
    page: Any, server: Server, tmp_path: Path
) -> None:
    name = "x_img"
    made = job_of({name: np.zeros((2, RATE), np.float32)}, tmp_path)
    hostile = "<img src=x onerror=alert(1)>"
    text = made.view
    text["stems"] = {hostile: text["stems"][name]}
    page.evaluate(MOUNT, [server.add(made), "en"])
    assert page.locator(".stem-title bdi").text_content() == hostile
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("language", ["en", "ko", "id"])
def test_at_360_pixels_nothing_overflows_and_targets_are_large(
    chromium: Any, server: Server, job: FakeJob, language: str
) -> None:
    size = {"width": 360, "height": 740}
    with player_page(chromium, server, viewport=size, has_touch=True) as page:
        page.evaluate(MOUNT, [job.view["job_id"], language])
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for kind, width, height, right in page.evaluate(TARGETS):
            assert height >= 44
            assert width >= 44 or kind == "range"
            assert right <= 360


def test_all_languages_have_the_same_texts_and_placeholders(page: Any) -> None:
    read = """async language => {
      const texts = (await import(`/page/texts/player.${language}.js`)).default
      return Object.entries(texts)
        .map(([name, text]) => [name, (text.match(/\\{\\w+\\}/g) ?? []).sort()])
    }"""
    english = sorted(page.evaluate(read, "en"))
    for language in ("ko", "id"):
        assert sorted(page.evaluate(read, language)) == english
