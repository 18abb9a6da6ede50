"""One song: its progress, its end, and what can be taken away."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.page.views.opened import Opened
from tests.page.views.site import Site


@pytest.fixture
def opened(site: Site, browse: Any, song: Path) -> Opened:
    """The view of a song that waits."""
    page: Opened = browse(site)
    page.see("Small, for trying the system out.")
    page.drop(("song.mp3", song.read_bytes()))
    page.page.wait_for_url("**/page/songs/*")
    page.see("waiting; 1 song is in the queue")
    return page


def bar(opened: Opened) -> Any:
    return opened.page.get_by_role("progressbar", name="Progress of the separation")


def test_progress_moves_until_the_song_is_ready(site: Site, opened: Opened) -> None:
    claim = site.claim()
    site.report(claim, 0.25)
    opened.see("separating · 25%")
    assert opened.page.get_by_label("Player", exact=True).is_visible()
    site.report(claim, 0.5)
    opened.see("separating · 50%")
    opened.see("left")
    assert bar(opened).evaluate("(bar) => bar.value") == 50
    site.succeed(claim)
    opened.see("Take away")
    opened.see("Kept until")
    assert bar(opened).is_hidden()
    opened.until("document.getElementById('announcer').innerText === 'ready'")


def test_a_restart_in_the_middle_of_a_job(site: Site, opened: Opened) -> None:
    claim = site.claim()
    site.report(claim, 0.25)
    opened.see("25%")
    site.stop()
    opened.see("The server does not answer.")
    site.start()
    site.report(claim, 0.75)
    opened.see("75%")
    site.succeed(claim)
    opened.see("Take away")
    assert opened.page.get_by_text("The server does not answer.").is_hidden()


def test_streams_that_are_held_back_are_polled_instead(
    site: Site, browse: Any, opened: Opened
) -> None:
    other = browse(site)
    other.page.route(
        "**/events", lambda route: route.fulfill(body="", content_type="text/html")
    )
    other.page.goto(opened.page.url)
    claim = site.claim()
    site.report(claim, 0.5)
    other.see("50%")
    site.succeed(claim)
    other.see("Take away")


def test_a_failed_song_says_why(site: Site, opened: Opened) -> None:
    site.fail(site.claim(), "unreadable_audio", "The song can't be decoded.")
    opened.see("The song can't be decoded.")
    opened.page.get_by_role("link", name="Separate another song").click()
    opened.page.get_by_role("heading", name="Separate a song").wait_for()


def test_a_song_is_cancelled_after_a_question(site: Site, opened: Opened) -> None:
    opened.page.get_by_role("button", name="Cancel").click()
    opened.see("Cancel the separation of song.mp3 and delete its files?")
    opened.page.get_by_role("button", name="Keep it").click()
    assert len(site.server.store.listed("", 9)) == 1
    opened.page.get_by_role("button", name="Cancel").click()
    opened.page.get_by_role("button", name="Cancel the separation").click()
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    assert site.server.store.listed("", 9) == []
    assert opened.page.locator("a.name").count() == 0


def test_an_unknown_song_is_said_to_be_gone(site: Site, browse: Any) -> None:
    opened = browse(site, "/page/songs/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f")
    opened.page.get_by_role("heading", name="This song is not here").wait_for()
    opened.see("There is no such job")


def test_stems_and_the_analysis_are_downloaded(site: Site, opened: Opened) -> None:
    site.succeed(site.claim())
    with opened.page.expect_download() as download:
        opened.file("Drums").click()
    assert download.value.suggested_filename == "song_drums.wav"
    assert Path(download.value.path()).read_bytes() == b"drums" * 50
    opened.page.route(
        "**/stems/bass",
        lambda route: route.fulfill(
            status=404, body=json.dumps({"detail": "It has expired."})
        ),
    )
    opened.file("Bass").click()
    opened.see("It has expired.")
    assert "/page/songs/" in opened.page.url


def test_a_mix_is_of_what_is_heard(site: Site, opened: Opened) -> None:
    site.succeed(site.claim())
    job = opened.page.url.rsplit("/", 1)[-1]
    made = {
        "download_url": f"{site.url}/job/{job}/stems/bass",
        "filename": "song (bass + other + vocals).wav",
        "size_bytes": 123_000_000,
        "format": "wav",
        "gain": 0.5,
    }
    site.answers[f"/job/{job}/mix"] = lambda: made
    opened.page.get_by_role("button", name="Mute Drums").click()
    opened.page.get_by_label("Volume", exact=True).fill("0.5")
    opened.page.get_by_label("Volume of Bass").fill("0.3")
    make = opened.page.get_by_role("button", name="Make the mix")
    with opened.page.expect_request("**/mix") as sent, opened.page.expect_download():
        make.click()
    gains = {"drums": 0, "bass": 0.15, "other": 0.5, "vocals": 0.5}
    assert sent.value.post_data_json == {"gains": gains, "format": "wav"}
    opened.see("117 MiB · lowered by 6 dB so that it does not clip")
    opened.page.get_by_label("Volume", exact=True).fill("0.6")
    opened.see("The volumes have changed since that mix. Make it again.")
    assert opened.page.get_by_role("link", name="song (bass").count() == 0
    for stem in ("Bass", "Other", "Vocals"):
        opened.page.get_by_role("button", name=f"Mute {stem}").click()
    opened.see("Everything is muted. Unmute a stem, or raise the volume")
    assert make.is_disabled()
    opened.page.get_by_role("button", name="Mute Bass").click()
    assert make.is_enabled()


def test_a_ninth_mix_within_a_minute_is_explained(site: Site, opened: Opened) -> None:
    site.succeed(site.claim())
    opened.page.route("**/mix", lambda route: route.fulfill(status=429, json={}))
    opened.page.get_by_role("button", name="Make the mix").click()
    opened.see("Wait a minute, then make the next.")


def test_volumes_that_change_while_a_mix_is_made_make_it_old(
    site: Site, opened: Opened
) -> None:
    site.succeed(site.claim())
    made = {"filename": "mix.wav", "size_bytes": 9, "format": "wav", "gain": 1}
    made["download_url"] = f"{site.url}/page/none/mix.wav"

    def answer(route: Any) -> None:
        # While the server renders.
        opened.page.get_by_role("button", name="Mute Drums").click()
        route.fulfill(json=made)

    opened.page.route("**/mix", answer)
    opened.page.get_by_role("button", name="Make the mix").click()
    opened.see("The volumes have changed since that mix.")


def test_the_size_of_all_and_what_kept_it_from_clipping_are_said(
    site: Site, browse: Any
) -> None:
    job = {"job_id": "a" * 32, "status": "completed", "progress": 100, "gain": 0.785}
    job |= {"filename": "loud.mp3", "format": "wav", "duration": 9, "model": "demo"}
    job |= {"sample_rate": 44_100, "options": {"stems": ["drums", "bass"]}}
    stem = {"size": 20 * 1024**2, "filename": "a.wav", "download_url": f"{site.url}/a"}
    job["stems"] = {"drums": stem, "bass": stem}
    site.answers[f"/job/{job['job_id']}"] = lambda: job
    opened = browse(site)
    opened.page.route("**/events", lambda route: route.fulfill(json={}))
    opened.page.goto(f"{site.url}/page/songs/{job['job_id']}")
    opened.see("Lowered by 2.1 dB so that nothing clips.")
    assert opened.file("All stems as a zip").inner_text().split("\n")[-1] == "40 MiB"
    job["gain"] = 1.0
    opened.page.reload()
    opened.file("All stems as a zip").wait_for()
    assert opened.page.get_by_text("so that nothing clips").count() == 0


def test_the_link_is_the_path_alone(site: Site, opened: Opened) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.get_by_role("button", name="Copy link").click()
    opened.page.get_by_role("button", name="Link copied").wait_for()
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied == opened.page.url.partition("?")[0]


def test_a_completed_song_is_deleted(site: Site, opened: Opened) -> None:
    site.succeed(site.claim())
    opened.see("Take away")
    opened.page.get_by_role("button", name="Delete").click()
    opened.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    opened.page.get_by_role("heading", name="Separate a song").wait_for()
    assert site.server.store.listed("", 9) == []
