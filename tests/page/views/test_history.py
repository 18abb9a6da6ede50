"""One's own songs, as this browser keeps them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.page.views.site import Site

NAMES = ("id", "filename", "status", "created_at", "expires_at")


def entry(number: int, minutes: int) -> dict[str, str]:
    """Return a kept song that expires after some minutes."""
    now = datetime.now(UTC)
    times = (now - timedelta(minutes=number), now + timedelta(minutes=minutes))
    values = (f"id{number}", f"{number}.mp3", "completed", *map(str, times))
    return dict(zip(NAMES, values, strict=True))


def test_a_song_is_reopened_and_removed(site: Site, browse: Any, song: Path) -> None:
    opened = browse(site)
    opened.see("Songs that you send appear here.")
    opened.see("Small, for trying the system out.")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.page.wait_for_url("**/page/songs/*")
    url = opened.page.url
    opened.page.goto(f"{site.url}/page")
    site.succeed(site.claim())
    opened.see("ready")
    opened.page.get_by_role("link", name="song.mp3").click()
    opened.see("Take away")
    assert opened.page.url == url
    opened.page.go_back()
    opened.page.get_by_role("button", name="Remove song.mp3").click()
    opened.see("Songs that you send appear here.")
    assert len(site.server.store.listed("", 9)) == 1


def test_expired_songs_are_left_out_and_the_list_is_bounded(
    site: Site, browse: Any, song: Path
) -> None:
    opened = browse(site)
    kept = [entry(number, 30) for number in range(150)] + [entry(200, -1)]
    set_item = (
        "(songs) => localStorage.setItem('stemserve:songs', JSON.stringify(songs))"
    )
    opened.page.evaluate(set_item, kept)
    opened.page.reload()
    opened.see("149.mp3")
    assert opened.page.get_by_text("200.mp3").count() == 0
    opened.see("Small, for trying the system out.")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.page.wait_for_url("**/page/songs/*")
    count = "JSON.parse(localStorage.getItem('stemserve:songs')).length"
    assert opened.page.evaluate(count) == 100


def test_what_is_kept_may_be_broken(site: Site, browse: Any) -> None:
    opened = browse(site)
    for name in ("songs", "options", "language", "theme"):
        set_item = "(name) => localStorage.setItem(`stemserve:${name}`, '{broken')"
        opened.page.evaluate(set_item, name)
    opened.page.reload()
    opened.see("Songs that you send appear here.")


def test_expected_times_come_from_ones_own_songs(site: Site, browse: Any) -> None:
    opened = browse(site)
    opened.see("not known before your first song")
    now = datetime.now(UTC)
    times = {"created_at": str(now - timedelta(seconds=30)), "updated_at": str(now)}
    song = {**entry(1, 30), **times, "model": "demo", "duration": 240}
    set_item = (
        "(song) => localStorage.setItem('stemserve:songs', JSON.stringify([song]))"
    )
    opened.page.evaluate(set_item, song)
    opened.page.reload()
    opened.see("about 30 seconds for a song of 4 minutes")


BROKEN = (
    {"filename": {"a": 1}},
    {"created_at": None},
    {"created_at": "zzz"},
    {"expires_at": "zzz"},
    {"duration": "x"},
    {"status": "<b>"},
    {"status": None},
)


@pytest.mark.parametrize(
    "kept",
    [
        *("[null]", "[1, [], {}]", "{"),
        *BROKEN,
    ],
)
def test_what_others_keep_in_the_browser_does_no_harm(
    site: Site, browse: Any, kept: str | dict[str, Any]
) -> None:
    if not isinstance(kept, str):
        kept = json.dumps([{**entry(1, 30), **kept}])
    opened = browse(site)
    opened.see("Songs that you send appear here.")
    opened.page.evaluate("kept => localStorage.setItem('stemserve:songs', kept)", kept)
    opened.page.evaluate("localStorage.setItem('stemserve:key', '\"a\\\\nb\"')")
    opened.page.reload()
    opened.see("Songs that you send appear here.")
    opened.see("Small, for trying the system out.")
