"""Every view fits every window, light and dark, and what is long or odd fits too."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.page.views.opened import Opened
from tests.page.views.site import Site
from tests.page.views.test_operations import REPORT

WIDTHS = (360, 768, 1280)
JOB = "a" * 32
LONG = "A song with a very long title " * 6 + "and_one_word_that_never_ends" * 8
# What reaches beyond its window, or is cut by the one that it lies in.
WIDE = """() => [...document.querySelectorAll('body *')].filter((node) => {
  const { right, width } = node.getBoundingClientRect()
  const isScrolled = node.closest('.scroll, .unseen, .skip, canvas, .lane, dialog')
  return width > 0 && !isScrolled && right > document.documentElement.clientWidth + 0.5
}).map((node) => `${node.tagName}.${node.className}`)"""


def completed() -> dict[str, Any]:
    """Return a job with everything that the view of a song can show."""
    stem = {"size": 40_000_000, "download_url": "/a"}
    names = ("drums", "bass", "other", "vocals")
    return {
        **{"job_id": JOB, "status": "completed", "progress": 100, "gain": 0.5},
        **{"filename": f"{LONG}.mp3", "format": "wav24", "duration": 213.4},
        **{"model": "hdemucs_high_musdb_plus", "sample_rate": 44_100, "cache": "hit"},
        "expires_at": str(datetime.now(UTC) + timedelta(hours=1)),
        "options": {"stems": names},
        "stems": {name: {**stem, "filename": f"{name}.wav"} for name in names},
        "analysis": {"bpm": 120.0, "key": "A minor", "camelot": "8A", "meter": 4},
    }


def songs() -> list[dict[str, Any]]:
    """Return a list of one's own songs, in each state."""
    now = datetime.now(UTC)
    states = ("pending", "processing", "completed", "failed", "cancelled")
    times = {"created_at": str(now), "expires_at": str(now + timedelta(hours=1))}
    return [
        {
            **times,
            "id": f"id{number}",
            "filename": f"{number} {LONG if number % 2 else 'Song'}.mp3",
            "status": state,
            "progress": 40,
            "duration": 7243,
        }
        for number, state in enumerate(states)
    ]


def show_start(opened: Opened) -> None:
    """Show the start, with songs and with an upload that is refused."""
    keep = "(songs) => localStorage.setItem('stemserve:songs', JSON.stringify(songs))"
    opened.page.evaluate(keep, songs())
    opened.page.goto(f"{opened.site.url}/page")
    opened.see("Small, for trying the system out.")
    opened.drop((f"{LONG[:200]}.mp3", b"no song"), ("notes\n\n.mp3", b"no song"))
    opened.page.get_by_text("not accepted").nth(1).wait_for()
    opened.page.get_by_label("Stems", exact=True).select_option("some")
    opened.page.get_by_label("Or the address of a song").fill("song")
    opened.page.get_by_role("button", name="Fetch").click()


def show_song(opened: Opened) -> None:
    """Show a song that is completed, with a loop that is wrong."""
    opened.page.goto(f"{opened.site.url}/page/songs/{JOB}")
    opened.see("Lowered by 6 dB so that nothing clips.")
    opened.page.get_by_label("Start of the loop").fill("soon")
    opened.page.get_by_label("Start of the loop").press("Enter")


def show_gone(opened: Opened) -> None:
    """Show a song that is not there."""
    opened.page.goto(f"{opened.site.url}/page/songs/{'b' * 32}")
    opened.see("There is no such job")


def show_operations(opened: Opened) -> None:
    """Show what operators look at, with failures."""
    opened.page.goto(f"{opened.site.url}/page/operations")
    opened.see("27 minutes")


def show_nothing(opened: Opened) -> None:
    """Show an address at which there is nothing."""
    opened.page.goto(f"{opened.site.url}/page/{'unknown-' * 20}")
    opened.page.get_by_role("heading", name="There is nothing here").wait_for()


VIEWS: dict[str, Callable[[Opened], None]] = {
    "start": show_start,
    "song": show_song,
    "gone": show_gone,
    "operations": show_operations,
    "nothing": show_nothing,
}


@pytest.fixture(scope="module")
def shown(shared: Opened) -> Opened:
    """The page of all views, with something to show in each."""
    answer(shared.site)
    shared.page.route("**/events", lambda route: route.fulfill(json={}))
    return shared


def answer(site: Site) -> None:
    """Let a site have a completed song and figures for operators."""
    site.answers[f"/job/{JOB}"] = completed
    site.answers["/operations"] = lambda: REPORT


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_fits_every_window(shown: Opened, name: str) -> None:
    shown.page.set_viewport_size({"width": 1280, "height": 900})
    VIEWS[name](shown)
    for width in WIDTHS:
        shown.page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            shown.page.emulate_media(color_scheme=scheme)
            found = shown.page.evaluate("document.documentElement.scrollWidth")
            assert (found, shown.page.evaluate(WIDE)) == (width, [])
