"""Songs on their way: dropped, chosen, fetched, refused, cancelled, interrupted."""

from pathlib import Path
from typing import Any

import pytest

from tests import media
from tests.page.views.opened import Opened
from tests.page.views.site import Site

HOSTILE = (
    "<img src=x onerror=alert(1)>.mp3",
    "\u202egpm.exe \u202d\u2067song.mp3",
    "노래 " + "x" * 248 + ".mp3",
)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Songs that differ in their audio."""
    path = tmp_path_factory.mktemp("songs") / "song.mp3"
    found = []
    for seed in range(5):
        media.write_wave(path, media.song(0.5, seed=seed), 44_100, "mp3")
        found.append(path.read_bytes())
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Songs of 0.9 MB, whose upload can be watched."""
    path, found = tmp_path_factory.mktemp("songs") / "song.wav", []
    for seed in range(3):
        media.write_wave(path, media.song(5.0, seed=seed), 44_100)
        found.append((f"{seed}.wav", path.read_bytes()))
    return found


def slow_down(opened: Opened, bytes_per_second: int) -> Any:
    """Let uploads take their time; return what ends it."""
    session = opened.context.new_cdp_session(opened.page)
    session.send("Network.enable")

    def limit(upload: int) -> None:
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
        session.send(
            "Network.emulateNetworkConditions",
            {**conditions, "uploadThroughput": upload},
        )

    limit(bytes_per_second)
    return lambda: limit(-1)


@pytest.fixture
def opened(site: Site, browse: Any) -> Opened:
    page: Opened = browse(site)
    page.see("Small, for trying the system out.")
    return page


def test_a_dropped_song_is_sent_and_its_view_opens(
    site: Site, opened: Opened, song: Path
) -> None:
    opened.drop(("song.mp3", song.read_bytes()))
    opened.page.wait_for_url("**/page/songs/*")
    opened.page.get_by_role("heading", name="song.mp3").wait_for()
    assert opened.page.title() == "song.mp3 · stemserve"
    (job,) = site.server.store.listed("", 10)
    assert opened.page.url.endswith(f"/page/songs/{job.id}")


def test_options_are_sent_and_kept(site: Site, opened: Opened, song: Path) -> None:
    opened.page.get_by_label("Stems", exact=True).select_option("some")
    opened.page.get_by_label("Bass").uncheck()
    opened.page.get_by_label("Other").uncheck()
    opened.page.get_by_label("Format").select_option("flac")
    opened.choose(song)
    opened.page.wait_for_url("**/page/songs/*")
    (job,) = site.server.store.listed("", 10)
    assert (job.request.options.stems, job.request.options.format) == (
        ("drums", "vocals"),
        "flac",
    )
    opened.page.goto(f"{site.url}/page")
    opened.see("Small, for trying the system out.")
    assert opened.page.get_by_label("Format").input_value() == "flac"
    assert not opened.page.get_by_label("Bass").is_checked()


def test_models_are_described_in_the_page_s_language(site: Site, browse: Any) -> None:
    terms = {"name": "MIT", "summary": "stemserve's own, under its licence."}
    terms["url"] = "LICENSE"
    code = {**terms, "name": "MIT AND BSD-2-Clause", "summary": "Something else."}
    model = {
        **{"name": "auto", "sources": ["drums"], "default": True, "licence": "MIT"},
        "description": "The best available model: one or two",
        "trained_on": "cassettes from the attic",
        "licences": {"code": code, "weights": terms, "training_data": terms},
    }
    site.answers["/models"] = lambda: {"models": [model]}
    opened = browse(site, locale="ko-KR")
    opened.see("사용 가능한 가장 좋은 모델: one 또는 two")
    opened.see("가중치 MIT, 코드 MIT 및 BSD-2-Clause")
    foreign = opened.page.locator(".about [lang=en]").all_text_contents()
    assert foreign == ["cassettes from the attic", "Something else."]


def test_a_model_without_vocals_has_no_accompaniment(opened: Opened) -> None:
    opened.page.get_by_label("Model").select_option("duo")
    opened.see("Has no vocals.")
    options = opened.page.locator("#stems option").all_inner_texts()
    assert options == ["All 2 stems", "Some…"]
    opened.page.get_by_label("Stems", exact=True).select_option("some")
    opened.page.get_by_label("low").uncheck()
    opened.page.get_by_label("high").uncheck()
    opened.drop(("song.mp3", b"x"))
    opened.see("Choose at least one stem.")


def test_a_folder_is_searched_for_songs(
    site: Site, opened: Opened, songs: list[bytes], tmp_path: Path
) -> None:
    album = tmp_path / "album"
    (album / "second").mkdir(parents=True)
    (album / "two\nlines.mp3").write_bytes(songs[0])
    (album / "second" / "2.mp3").write_bytes(songs[1])
    (album / "cover.jpg").write_bytes(b"picture")
    single = tmp_path / "3.mp3"
    single.write_bytes(songs[2])
    opened.drag(album, single)
    opened.see("1 file in the folder is not a song and was left out.")
    opened.page.locator("a.name").nth(2).wait_for()
    names = {job.request.source.filename for job in site.server.store.listed("", 9)}
    assert names == {"two lines.mp3", "2.mp3", "3.mp3"}
    opened.page.get_by_role("link", name="two lines.mp3").click()
    opened.page.get_by_role("heading", name="two lines.mp3").wait_for()


def test_a_folder_of_five_hundred_songs_is_listed(
    opened: Opened, tmp_path: Path
) -> None:
    for number in range(500):
        (tmp_path / f"{number}.mp3").write_bytes(b"song")
    # Nothing is answered.
    opened.page.route("**/separate", lambda route: None)
    opened.drag(tmp_path)
    opened.page.get_by_text("waits for the songs before it").nth(497).wait_for()
    rows = opened.page.locator(".rows li")
    assert rows.count() == 500
    opened.page.get_by_role("button", name="Cancel 499.mp3").click()
    rows.nth(499).wait_for(state="detached")
    assert rows.count() == 499


def test_two_are_sent_at_a_time_and_one_is_cancelled(
    site: Site, opened: Opened, large: list[tuple[str, bytes]]
) -> None:
    full_speed = slow_down(opened, 40_000)
    opened.drop(*large)
    rows = opened.page.locator(".rows li:has(progress)")
    opened.until(
        "[...document.querySelectorAll('progress')].some((bar) => bar.value > 0.1)"
    )
    assert rows.count() == 3
    assert opened.page.get_by_text("waits for the songs before it").count() == 1
    # The browser tells its network of both by different ways: one after the other.
    with opened.page.expect_event("requestfailed"):
        opened.page.get_by_role("button", name="Cancel 0.wav").click()
    full_speed()
    opened.page.locator("a.name").nth(1).wait_for()
    names = {job.request.source.filename for job in site.server.store.listed("", 9)}
    assert names == {"1.wav", "2.wav"}


def test_refusals_are_said_as_the_api_says_them(opened: Opened) -> None:
    opened.drop(("notes.mp3", b"no song"))
    opened.see("This is not an audio file of a known format.")
    opened.drop(("empty.mp3", b""))
    opened.see("empty.mp3 is empty.")
    opened.drop(("large.wav", bytes(2_000_001)))
    opened.see("large.wav has 1.9 MiB. This server takes at most 1.9 MiB.")
    opened.page.get_by_label("Or the address of a song").fill("song.mp3")
    opened.page.get_by_role("button", name="Fetch").click()
    opened.see("Enter a whole address")
    opened.page.get_by_label("Or the address of a song").fill("https://a.example/b.mp3")
    opened.page.get_by_role("button", name="Fetch").click()
    opened.see("There is nothing at https://a.example/b.mp3.")
    opened.page.get_by_role("button", name="Remove https://").click()
    opened.page.get_by_text("There is nothing at").wait_for(state="detached")


def test_a_full_queue_is_waited_for(
    site: Site, opened: Opened, songs: list[bytes]
) -> None:
    opened.page.clock.install()
    opened.drop(*((f"{number}.mp3", each) for number, each in enumerate(songs[:4])))
    opened.see("goes on by itself in")
    opened.see("The queue is full")
    for _ in range(3):
        site.succeed(site.claim())
    opened.page.clock.fast_forward(60_000)
    opened.page.locator("a.name").nth(3).wait_for()
    assert len(site.server.store.listed("", 9)) == 4


def test_a_restart_in_the_middle_of_an_upload(
    site: Site, opened: Opened, large: list[tuple[str, bytes]]
) -> None:
    full_speed = slow_down(opened, 40_000)
    opened.drop(*large[:2])
    opened.until(
        "[...document.querySelectorAll('progress')].some((bar) => bar.value > 0.1)"
    )
    site.stop()
    opened.see("connection lost; goes on by itself")
    opened.see("The server does not answer.")
    full_speed()
    site.start()
    opened.page.locator("a.name").nth(1).wait_for()
    assert opened.page.get_by_text("The server does not answer.").is_hidden()
    assert len(site.server.store.listed("", 9)) == 2


def test_names_stay_text(opened: Opened, songs: list[bytes]) -> None:
    opened.drop(*zip(HOSTILE, songs, strict=False))
    links = opened.page.locator("a.name")
    links.nth(2).wait_for()
    shown = set(links.all_inner_texts())
    assert shown >= {HOSTILE[0], "gpm.exe song.mp3"}
    assert opened.page.locator("img").count() == 0
    opened.page.get_by_role("link", name="<img").click()
    opened.page.get_by_role("heading", name="<img").wait_for()
    assert opened.page.title() == f"{HOSTILE[0]} · stemserve"
    assert opened.page.locator("img").count() == 0


def test_a_long_name_fits_a_phone(site: Site, browse: Any, songs: list[bytes]) -> None:
    opened = browse(site, width=360)
    opened.see("Small, for trying the system out.")
    opened.drop((HOSTILE[2], songs[0]))
    opened.page.wait_for_url("**/page/songs/*")
    opened.page.get_by_role("heading", name="노래").wait_for()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360
