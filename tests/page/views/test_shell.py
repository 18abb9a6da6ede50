"""The frame of the views: languages, themes, keyboard, prefix, accessibility."""

from pathlib import Path
from typing import Any

import pytest

from tests import ports
from tests.node import modules_of
from tests.page.views import site as sites
from tests.page.views.opened import Opened
from tests.page.views.site import Site
from tests.page.views.test_operations import REPORT

HEADINGS = {
    "ko": ("곡 분리하기", "운영 현황"),
    "id": ("Pisahkan lagu", "Operasional"),
}


def test_the_browsers_language_is_used(site: Site, browse: Any) -> None:
    opened = browse(site, locale="id-ID")
    start, operations = HEADINGS["id"]
    opened.page.get_by_role("heading", name=start).wait_for()
    assert opened.page.locator("html").get_attribute("lang") == "id"
    opened.page.get_by_role("link", name=operations).click()
    opened.page.get_by_role("heading", name=operations, exact=True).wait_for()


def test_a_chosen_language_and_theme_are_kept(site: Site, browse: Any) -> None:
    opened = browse(site)
    opened.page.get_by_label("Language").select_option("ko")
    opened.page.get_by_role("heading", name=HEADINGS["ko"][0]).wait_for()
    opened.page.get_by_label("화면 색상").select_option("dark")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    assert opened.page.evaluate(background) == "rgb(15, 17, 19)"
    opened.page.reload()
    opened.page.get_by_role("heading", name=HEADINGS["ko"][0]).wait_for()
    assert opened.page.evaluate(background) == "rgb(15, 17, 19)"


def test_a_language_is_loaded_when_it_is_chosen(site: Site, browse: Any) -> None:
    opened = browse(site)
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    loaded = "/texts/ko.js"
    assert not [path for path in opened.paths() if loaded in path]
    opened.page.route("**/texts/ko.js", lambda route: route.fulfill(status=404))
    opened.page.get_by_label("Language").select_option("ko")
    opened.page.get_by_role("heading", name="This page was updated").wait_for()
    assert opened.page.get_by_label("Language").input_value() == "en"
    assert [path for path in opened.paths() if loaded in path]


def test_what_can_t_be_loaded_is_in_english(site: Site, browse: Any) -> None:
    opened = browse(site)
    opened.page.get_by_label("Language").select_option("ko")
    opened.page.get_by_role("heading", name=HEADINGS["ko"][0]).wait_for()
    opened.page.route("**/texts/models.ko.js", lambda route: route.fulfill(status=404))
    opened.page.reload()
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    assert opened.page.locator("html").get_attribute("lang") == "en"


def test_something_is_shown_before_any_script_runs(site: Site, browse: Any) -> None:
    opened = browse(site, java_script_enabled=False)
    assert opened.page.locator("header").inner_text() == "stemserve"
    assert opened.page.locator("noscript").is_visible()


@pytest.mark.parametrize("path", ["songs", "unknown", "songs/a/b"])
def test_where_there_is_nothing_people_are_led_on(
    site: Site, browse: Any, path: str
) -> None:
    opened = browse(site, f"/page/{path}")
    opened.page.get_by_role("heading", name="There is nothing here").wait_for()
    opened.see(f"/page/{path}")
    opened.page.get_by_role("main").get_by_role("link", name="Songs").click()
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    assert opened.page.url == f"{site.url}/page"


def test_below_a_prefix(
    tmp_path: Path, empty_database: Path, browse: Any, song: Path
) -> None:
    database = tmp_path / "jobs.sqlite3"
    database.write_bytes(empty_database.read_bytes())
    port = ports.free_port()
    with sites.serving(tmp_path, database, port, root="/music") as site:
        opened = browse(site)
        opened.see("Small, for trying the system out.")
        opened.drop(("song.mp3", song.read_bytes()))
        opened.page.wait_for_url("**/music/page/songs/*")
        opened.see("waiting")
        assert all(path.startswith("/") for path in opened.paths())
        opened.page.get_by_role("link", name="Songs").click()
        assert opened.page.url == f"{site.url}/page"


def test_a_view_of_another_version_asks_for_a_reload(site: Site, browse: Any) -> None:
    opened = browse(site, "/page/operations")
    opened.page.route("**/views/start.js", lambda route: route.fulfill(status=404))
    opened.page.reload()
    opened.page.get_by_role("link", name="Songs").click()
    opened.page.get_by_role("heading", name="This page was updated").wait_for()
    opened.page.unroute("**/views/start.js")
    opened.page.get_by_role("button", name="Reload").click()
    opened.page.get_by_role("heading", name="Separate a song").wait_for()


def press(opened: Opened, key: str, until: str) -> None:
    """Press a key until the focused element has a name."""
    name = """(({ activeElement: { ariaLabel, innerText }, activeElement }) =>
      activeElement.matches('a, button') ? ariaLabel ?? innerText : '')(document)"""
    for _ in range(30):
        if until in (opened.page.evaluate(name) or ""):
            return
        opened.page.keyboard.press(key)
    raise AssertionError(f"{until!r} can't be reached by {key}")


def test_everything_is_reached_by_keyboard(site: Site, browse: Any, song: Path) -> None:
    site.answers["/operations"] = lambda: REPORT
    opened = browse(site)
    opened.see("Small, for trying the system out.")
    opened.page.keyboard.press("Tab")
    press(opened, "Tab", "Skip to the content")
    opened.page.keyboard.press("Enter")
    press(opened, "Tab", "Choose files")
    with opened.page.expect_file_chooser() as chooser:
        opened.page.keyboard.press("Enter")
    chooser.value.set_files([song])
    opened.page.wait_for_url("**/page/songs/*")
    opened.page.get_by_role("heading", name="song.mp3").wait_for()
    site.succeed(site.claim())
    opened.see("Take away")
    press(opened, "Tab", "Drums")
    with opened.page.expect_download():
        opened.page.keyboard.press("Enter")
    press(opened, "Shift+Tab", "Operations")
    opened.page.keyboard.press("Enter")
    opened.page.get_by_role("heading", name="Operations").wait_for()
    # The heading of a new view has the focus: what follows is next.
    assert opened.page.evaluate("document.activeElement.tagName") == "H1"
    press(opened, "Shift+Tab", "API key")
    opened.page.keyboard.press("Enter")
    opened.page.get_by_role("dialog").wait_for()
    opened.page.keyboard.press("Escape")
    press(opened, "Shift+Tab", "Songs")
    opened.page.keyboard.press("Enter")
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    press(opened, "Tab", "song.mp3")
    opened.page.keyboard.press("Enter")
    opened.see("Take away")
    press(opened, "Tab", "Delete")
    opened.page.keyboard.press("Enter")
    press(opened, "Tab", "Delete")
    opened.page.keyboard.press("Enter")
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    assert site.server.store.listed("", 9) == []


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe, which finds barriers."""
    modules = modules_of(Path(__file__).parent / "audit")
    return (modules / "axe-core" / "axe.min.js").read_text()


def barriers(opened: Opened, axe: str) -> list[str]:
    """Return the barriers in a view, as axe names them: light, dark, and on a phone."""
    # By the debugger: the policy lets no foreign script run.
    if not opened.page.evaluate("'axe' in window"):
        opened.page.evaluate(axe)
    found = []
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360)):
        opened.page.emulate_media(color_scheme=scheme)
        opened.page.set_viewport_size({"width": width, "height": 900})
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        for each in opened.page.evaluate("axe.run()")["violations"]:
            places = [node["html"] for node in each["nodes"]]
            found.append(f"{scheme} {width} {each['id']}: {places}")
    return found


def test_axe_finds_no_barriers(site: Site, browse: Any, song: Path, axe: str) -> None:
    site.answers["/operations"] = lambda: REPORT
    opened = browse(site)
    opened.see("Small, for trying the system out.")
    opened.drop(("notes.mp3", b"no song"))
    opened.see("not accepted")
    assert barriers(opened, axe) == []
    opened.page.get_by_role("button", name="Remove notes.mp3").click()
    opened.page.get_by_role("button", name="API key").click()
    assert barriers(opened, axe) == []
    opened.page.keyboard.press("Escape")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.see("waiting;")
    assert barriers(opened, axe) == []
    site.succeed(site.claim())
    opened.see("Take away")
    assert barriers(opened, axe) == []
    opened.page.get_by_role("link", name="Operations").click()
    opened.see("27 minutes")
    opened.see("weights_unavailable")
    table = opened.page.get_by_role("group", name="Queue")
    # It is narrower than the table that it scrolls.
    assert table.evaluate("(node) => node.scrollWidth > node.clientWidth")
    assert table.get_attribute("tabindex") == "0"
    assert barriers(opened, axe) == []
    opened.page.goto(f"{site.url}/page/unknown")
    opened.page.get_by_role("heading", name="There is nothing here").wait_for()
    assert barriers(opened, axe) == []
