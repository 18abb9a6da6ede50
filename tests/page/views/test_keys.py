"""Keys: asked for, tried, kept only if asked, and never part of an address."""

from pathlib import Path
from typing import Any

from tests.page.views.opened import Opened
from tests.page.views.site import Site


def give(opened: Opened, key: str, *, keep: bool = False) -> None:
    """Enter a key in the dialog."""
    opened.page.get_by_label("Key or token").fill(key)
    opened.page.get_by_label("Remember it in this browser").set_checked(keep)
    opened.page.get_by_role("button", name="Use this key").click()


def stored(opened: Opened) -> str:
    """Return all that the browser keeps."""
    found: str = opened.page.evaluate("JSON.stringify({...localStorage})")
    return found


def test_a_wrong_key_is_said_and_a_right_one_is_used(
    guarded: Site, browse: Any, song: Path
) -> None:
    opened = browse(guarded)
    opened.page.get_by_role("dialog").wait_for()
    give(opened, "wrong")
    opened.see("The credentials are not an API key of this server.")
    give(opened, "not ascii ✗")
    opened.see("A key has only ASCII characters")
    key = guarded.key()
    give(opened, key)
    opened.page.get_by_role("dialog").wait_for(state="hidden")
    opened.see("API key is set")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.page.wait_for_url("**/page/songs/*")
    guarded.succeed(guarded.claim())
    with opened.page.expect_download() as download:
        opened.file("Drums").click()
    assert Path(download.value.path()).read_bytes() == b"drums" * 50
    assert "token=" in download.value.url
    assert [url for url in opened.requests if key in url] == []
    assert key not in stored(opened)
    assert key not in opened.page.content()


def test_a_key_is_kept_if_asked_and_forgotten_if_asked(
    guarded: Site, browse: Any
) -> None:
    opened, key = browse(guarded), guarded.key()
    give(opened, key, keep=True)
    opened.see("API key is set")
    assert key in stored(opened)
    opened.page.reload()
    opened.see("API key is set")
    assert opened.page.get_by_role("dialog").count() == 0
    opened.page.get_by_role("button", name="API key is set").click()
    opened.page.get_by_role("button", name="Forget the key").click()
    assert key not in stored(opened)


def test_a_request_that_needs_a_key_waits_for_it(
    guarded: Site, browse: Any, song: Path
) -> None:
    opened = browse(guarded)
    opened.page.get_by_role("button", name="Close").click()
    opened.see("Small, for trying the system out.")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.see("Credentials are required")
    give(opened, guarded.key())
    opened.page.wait_for_url("**/page/songs/*")


def test_songs_of_the_key_are_listed(guarded: Site, browse: Any, song: Path) -> None:
    first, key = browse(guarded), guarded.key()
    give(first, key)
    first.drop(("song.mp3", song.read_bytes()))
    first.page.wait_for_url("**/page/songs/*")
    second = browse(guarded)
    give(second, key)
    second.page.get_by_role("link", name="song.mp3").click()
    second.page.get_by_role("heading", name="song.mp3").wait_for()


def test_a_key_that_is_revoked_is_asked_for_again(
    guarded: Site, browse: Any, song: Path
) -> None:
    opened = browse(guarded)
    give(opened, guarded.key())
    opened.see("API key is set")
    guarded.revoke_keys()
    opened.drop(("song.mp3", song.read_bytes()))
    opened.see("The API key was revoked.")
    give(opened, guarded.key())
    opened.page.wait_for_url("**/page/songs/*")


def test_a_key_that_does_not_suffice_is_said(
    guarded: Site, browse: Any, song: Path
) -> None:
    opened = browse(guarded)
    give(opened, guarded.key("stems:read"))
    opened.see("API key is set")
    opened.drop(("song.mp3", song.read_bytes()))
    opened.see("stems:write")


def test_a_key_that_is_declined_is_not_asked_for_again(
    guarded: Site, browse: Any
) -> None:
    opened = browse(guarded, "/page/operations")
    opened.page.clock.install()
    refused = "/operations"
    guarded.refused.add(refused)
    opened.page.reload()
    opened.page.get_by_role("dialog").wait_for()
    opened.page.get_by_role("button", name="Close").click()
    opened.see("Send a key.")
    before = opened.paths().count(refused)
    for _ in range(3):
        opened.page.clock.run_for(6_000)
    assert opened.paths().count(refused) > before
    assert opened.page.get_by_role("dialog").count() == 0


def test_a_song_is_shown_when_a_key_is_given_later(
    guarded: Site, browse: Any, song: Path
) -> None:
    sender, key = browse(guarded), guarded.key()
    give(sender, key)
    sender.drop(("song.mp3", song.read_bytes()))
    sender.page.wait_for_url("**/page/songs/*")
    opened = browse(guarded, sender.page.url.removeprefix(guarded.url))
    opened.page.get_by_role("button", name="Close").click()
    opened.see("Credentials are required")
    opened.page.get_by_role("button", name="API key").click()
    give(opened, key)
    opened.page.get_by_role("heading", name="song.mp3").wait_for()
