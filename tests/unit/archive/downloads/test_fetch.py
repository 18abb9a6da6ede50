"""A file comes whole, whatever its server does; and it is media, or it fails."""

import hashlib
import json
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from serve_app.archive.errors import (
    BrokenMedia,
    DiskFull,
    MediaTooLarge,
    NotMedia,
    ProtectedMedia,
    SourceBusy,
    SourceFailed,
)
from serve_app.errors import Cancelled, RefusedUrl
from tests import origin as origins
from tests.disks import SmallDisk
from tests.origin import Origin, Trouble
from tests.unit.archive.downloads import samples
from tests.unit.archive.downloads.conftest import Desk

FILE = samples.mp4()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ranges(origin: Origin) -> list[str | None]:
    return [request.headers.get("Range") for request in origin.requests]


def test_a_file_comes_whole_with_its_hash(origin: Origin, desk: Desk) -> None:
    found = desk.fetch(origin.add("/a.mp4", FILE))
    assert found.path.read_bytes() == FILE
    assert (found.size_bytes, found.sha256) == (len(FILE), sha256(FILE))
    assert (found.media_type, found.extension) == ("video/mp4", "mp4")
    assert found.fetched_bytes == len(FILE)
    assert found.path.is_relative_to(desk.folder)


def test_its_progress_grows_to_the_end(origin: Origin, desk: Desk) -> None:
    seen: list[float] = []
    origin.add("/a.mp4", FILE, pause_seconds=0.03)
    desk.fetch(f"{origin.url}/a.mp4", report=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 2
    assert seen[-1] == 1.0


def test_any_number_of_cuts_costs_no_byte_twice(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE, cut_after=[0, 0] + [20_000, 0, 0] * 10)
    found = desk.fetch(url)
    assert found.path.read_bytes() == FILE
    assert origin.sent_bytes == len(FILE) == found.fetched_bytes
    assert {request.headers.get("If-Range") for request in origin.requests[3:]} == {
        origin.replies["/a.mp4"].etag
    }


def test_three_tries_in_a_row_without_a_byte_fail(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE, cut_after=[5000, 0, 0, 0])
    with pytest.raises(SourceFailed, match="3 tries brought nothing more"):
        desk.fetch(url)
    assert ranges(origin) == [None] + ["bytes=5000-"] * 3


def test_bytes_that_came_before_are_not_new(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE, etag=None, cut_after=[5000] * 20)
    with pytest.raises(SourceFailed):
        desk.fetch(url)
    assert ranges(origin) == [None] * 4


def test_a_failed_download_goes_on_in_the_next_attempt(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE, cut_after=[400_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        desk.fetch(url)
    found = desk.fetch(url)
    assert found.path.read_bytes() == FILE
    assert found.sha256 == sha256(FILE)
    assert found.fetched_bytes == len(FILE) - 400_000


def test_a_complete_file_is_not_fetched_again(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE)
    desk.fetch(url)
    assert desk.fetch(url).fetched_bytes == 0
    assert len(origin.requests) == 1


def test_a_complete_file_that_was_damaged_is_fetched_again(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE)
    path = desk.fetch(url).path
    path.write_bytes(FILE[:500_000] + b"!" + FILE[500_001:])
    assert desk.fetch(url).path.read_bytes() == FILE


def test_a_file_that_changed_between_attempts_begins_anew(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE, cut_after=[400_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        desk.fetch(url)
    other = samples.mp4(seed=1)
    origin.add("/a.mp4", other)
    assert desk.fetch(url).path.read_bytes() == other


def test_a_new_token_in_the_url_costs_one_byte(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE, cut_after=[400_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        desk.fetch(f"{url}?token=1")
    found = desk.fetch(f"{url}?token=2")
    assert found.path.read_bytes() == FILE
    assert found.fetched_bytes == len(FILE) - 400_000 + 1
    assert desk.fetch(f"{url}?token=3").fetched_bytes == 1


def test_another_file_at_a_url_with_another_query_begins_anew(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/get", FILE)
    desk.fetch(f"{url}?id=1")
    other = samples.mp4(seed=1)
    origin.add("/get", other)
    assert desk.fetch(f"{url}?id=2").path.read_bytes() == other


def test_dates_do_not_vouch_for_a_url_with_another_query(
    origin: Origin, desk: Desk
) -> None:
    headers = {"Last-Modified": "Mon, 02 Nov 2026 08:00:00 GMT"}
    url = origin.add("/get", FILE, etag=None, headers=headers)
    desk.fetch(f"{url}?id=1")
    desk.fetch(f"{url}?id=2")
    assert ranges(origin) == [None, None]


def test_another_url_begins_anew(origin: Origin, desk: Desk) -> None:
    desk.fetch(origin.add("/a.mp4", FILE))
    other = samples.mp4(seed=1)
    assert desk.fetch(origin.add("/b.mp4", other)).path.read_bytes() == other


def test_without_a_validator_each_attempt_begins_anew(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE, etag='W/"weak"', cut_after=[400_000, 0, 0, 0])
    with pytest.raises(SourceFailed):
        desk.fetch(url)
    assert desk.fetch(url).path.read_bytes() == FILE
    assert ranges(origin) == [None] * 5


def test_a_server_without_ranges_sends_all_again(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE, has_ranges=False, cut_after=[400_000])
    assert desk.fetch(url).path.read_bytes() == FILE


def test_a_stall_is_interrupted_and_the_rest_fetched(
    origin: Origin, desk: Desk
) -> None:
    stalling = Origin(Trouble(seed=3, stalls=0.5))
    try:
        found = desk.with_limits(stall_seconds=0.3).fetch(stalling.add("/a.mp4", FILE))
    finally:
        stalling.close()
    assert found.path.read_bytes() == FILE
    assert len(stalling.requests) > 1


def test_a_slow_download_may_take_longer_than_a_stall(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE, pause_seconds=0.1)
    began = time.monotonic()
    found = desk.with_limits(stall_seconds=0.5).fetch(url)
    assert time.monotonic() - began > 1.0
    assert (found.fetched_bytes, len(origin.requests)) == (len(FILE), 1)


def test_cuts_errors_and_stalls_by_chance_cost_little(desk: Desk) -> None:
    origin = Origin(Trouble(seed=1, cuts=0.3, stalls=0.1, errors=0.2))
    try:
        for number in range(10):
            data = samples.mp4(300_000, seed=number)
            url = origin.add(f"/{number}.mp4", data)
            found = desk.with_limits(stall_seconds=0.2).fetch(url, key=str(number))
            assert found.path.read_bytes() == data
    finally:
        origin.close()
    assert origin.sent_bytes <= 1.3 * 3_000_000
    assert len(origin.requests) > 12


@pytest.mark.parametrize("status", [500, 502, 504])
def test_errors_of_the_server_are_tried_again(
    origin: Origin, desk: Desk, status: int
) -> None:
    url = origin.add("/a.mp4", FILE, statuses=[status, status])
    assert desk.fetch(url).path.read_bytes() == FILE
    origin.add("/a.mp4", FILE, statuses=[status] * 3)
    with pytest.raises(SourceFailed, match=f"it responded with {status} "):
        desk.fetch(url, key="other")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_source_is_left_alone_as_it_asks(
    origin: Origin, desk: Desk, status: int
) -> None:
    headers = {"Retry-After": "7"}
    url = origin.add("/a.mp4", FILE, statuses=[status], headers=headers)
    with pytest.raises(SourceBusy, match="left alone for 7 seconds") as caught:
        desk.fetch(url)
    assert caught.value.delay_seconds == 7.0
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, ProtectedMedia, "requires credentials .*401 Unauthorized"),
        (407, ProtectedMedia, "requires credentials"),
        (403, SourceFailed, "403 Forbidden"),
        (404, SourceFailed, "404 Not Found. Check the URL"),
        (410, SourceFailed, "410 Gone"),
        (204, SourceFailed, "204 No Content"),
        (499, SourceFailed, "responded with 499. Check the URL"),
    ],
)
def test_other_statuses_fail_at_once_and_say_which(
    origin: Origin, desk: Desk, status: int, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        desk.fetch(origin.add("/a.mp4", FILE, status=status))
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b'\n {"error": "gone"}', "JSON"),
        (b"\xff\xd8\xff\xe0" + bytes(2000), "an image"),
        (b"PK\x03\x04" + bytes(2000), "a compressed file"),
        (bytes(5000), "data of another type"),
        (b"", "nothing"),
    ],
)
def test_what_is_no_media_fails_whatever_its_header_says(
    origin: Origin, desk: Desk, body: bytes, words: str
) -> None:
    headers = {"Content-Type": "video/mp4"}
    with pytest.raises(NotMedia, match=f"The source gave {words}.*Check the URL"):
        desk.fetch(origin.add("/a.mp4", body, headers=headers))


def test_no_media_is_noticed_at_its_beginning(origin: Origin, desk: Desk) -> None:
    page = b"<html>" + bytes(20_000_000)
    with pytest.raises(NotMedia):
        desk.fetch(origin.add("/a.mp4", page))
    assert origin.sent_bytes < 10_000_000


def test_a_file_that_never_ends_stops_at_the_maximum(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE, is_endless=True)
    with pytest.raises(MediaTooLarge, match="at most 5000000 bytes"):
        desk.with_limits(max_bytes=5_000_000).fetch(url)


def test_a_file_that_is_stated_too_large_is_not_fetched(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE)
    with pytest.raises(MediaTooLarge):
        desk.with_limits(max_bytes=999_999).fetch(url)
    assert next(desk.folder.rglob("media")).stat().st_size == 0


def test_a_file_that_is_longer_than_stated_does_not_count(
    origin: Origin, desk: Desk
) -> None:
    headers = {"Content-Length": "500000"}
    with pytest.raises(BrokenMedia, match="ends early"):
        desk.fetch(origin.add("/a.mp4", FILE, headers=headers, has_length=False))


def test_a_file_that_is_shorter_than_stated_fails(origin: Origin, desk: Desk) -> None:
    headers = {"Content-Length": "2000000"}
    url = origin.add("/a.mp4", FILE, headers=headers, has_length=False)
    with pytest.raises(SourceFailed, match="stopped sending"):
        desk.fetch(url)


def test_a_file_of_unknown_length_that_ends_early_is_broken(
    origin: Origin, desk: Desk
) -> None:
    with pytest.raises(BrokenMedia, match="ends early"):
        desk.fetch(origin.add("/a.mp4", FILE[:700_000], has_length=False))


def test_a_file_of_unknown_length_comes_whole(origin: Origin, desk: Desk) -> None:
    found = desk.fetch(origin.add("/a.mp4", FILE, has_length=False))
    assert found.path.read_bytes() == FILE


def test_compressed_responses_are_refused(origin: Origin, desk: Desk) -> None:
    headers = {"Content-Encoding": "gzip"}
    with pytest.raises(SourceFailed, match="compresses"):
        desk.fetch(origin.add("/a.mp4", FILE, headers=headers))
    sent = origin.requests[0].headers
    assert sent["Accept-Encoding"] == "identity"


def test_requests_say_who_asks_and_nothing_invented(origin: Origin, desk: Desk) -> None:
    desk.fetch(origin.add("/a.mp4", FILE, headers={"Set-Cookie": "a=b"}))
    desk.fetch(origin.add("/b.mp4", FILE))
    for request in origin.requests:
        assert request.headers["User-Agent"] == "stemserve"
        assert not {"Referer", "Cookie", "Origin", "Authorization"} & set(
            request.headers
        )


def test_a_redirect_to_an_allowed_host_is_followed(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE)
    to = {"Location": url}
    found = desk.fetch(origin.add("/r", b"", status=302, headers=to))
    assert found.path.read_bytes() == FILE


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:1/a.mp4",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/a.mp4",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.mp4",
        "http://user:secret@127.0.0.1/a.mp4",
    ],
)
def test_a_redirect_elsewhere_is_refused(
    origin: Origin, desk: Desk, target: str
) -> None:
    client = origins.client("127.0.0.1")
    url = origin.add("/r", b"", status=302, headers={"Location": target})
    with pytest.raises(RefusedUrl):
        Desk(desk.folder, client).fetch(url)
    client.close()


def test_a_host_that_is_not_allowed_is_not_asked(origin: Origin, desk: Desk) -> None:
    client = origins.client("cdn.example.com")
    with pytest.raises(RefusedUrl, match="not one that this server allows"):
        Desk(desk.folder, client).fetch(origin.add("/a.mp4", FILE))
    client.close()
    assert origin.requests == []


def test_a_cancelled_download_stops_while_nothing_comes(
    origin: Origin, desk: Desk
) -> None:
    stalling = Origin(Trouble(stalls=1.0))
    cancelled = Event()
    Thread(target=lambda: (time.sleep(0.5), cancelled.set())).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        desk.with_limits(stall_seconds=60).fetch(
            stalling.add("/a.mp4", FILE), cancelled=cancelled
        )
    assert time.monotonic() - began < 20.0
    stalling.close()


def test_no_room_for_twice_the_size_fails_before_the_download(
    origin: Origin, small_disk: SmallDisk, desk: Desk
) -> None:
    url = origin.add("/a.mp4", samples.mp4(10_000_000))
    here = Desk(small_disk.path, desk.client).with_limits(reserve_bytes=15_000_000)
    with pytest.raises(DiskFull, match=r"needs 35 MB of free space .* must free some"):
        here.fetch(url)
    assert origin.sent_bytes < 10_000_000
    assert here.with_limits(reserve_bytes=5_000_000).fetch(url).size_bytes == 10_000_000


def test_a_disk_below_its_reserve_fails_before_any_request(
    origin: Origin, small_disk: SmallDisk, desk: Desk
) -> None:
    here = Desk(small_disk.path, desk.client).with_limits(reserve_bytes=50_000_000)
    with pytest.raises(DiskFull):
        here.fetch(origin.add("/a.mp4", FILE))
    assert origin.requests == []


def test_a_disk_that_fills_up_in_the_middle_fails_with_the_reason(
    origin: Origin, small_disk: SmallDisk, desk: Desk
) -> None:
    url = origin.add("/a.mp4", samples.mp4(12_000_000), has_length=False)
    here = Desk(small_disk.path, desk.client)
    small_disk.fill(6_000_000)
    with pytest.raises(DiskFull, match="The operator must free some"):
        here.fetch(url)
    # What it took is free again: the failure must be recorded somewhere.
    assert small_disk.free_bytes > 5_000_000
    assert list(here.folder.glob("[!.]*")) == []
    small_disk.empty()
    assert here.fetch(url).size_bytes == 12_000_000


def test_the_reserve_is_watched_during_the_download(
    origin: Origin, small_disk: SmallDisk, desk: Desk
) -> None:
    url = origin.add("/a.mp4", samples.mp4(20_000_000), has_length=False)
    here = Desk(small_disk.path, desk.client).with_limits(reserve_bytes=20_000_000)
    with pytest.raises(DiskFull, match="which has"):
        here.fetch(url)
    assert small_disk.free_bytes > 15_000_000


def test_two_attempts_at_one_key_do_not_meet(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE, pause_seconds=0.05)
    found: list[str] = []
    threads = [
        Thread(target=lambda: found.append(desk.fetch(url).sha256)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sha256(FILE)] * 2
    assert origin.sent_bytes == len(FILE)


def test_keys_of_any_characters_have_folders_of_their_own(
    origin: Origin, desk: Desk
) -> None:
    url = origin.add("/a.mp4", FILE)
    keys = ["../../etc", "a/b", "", "키" * 300, "."]
    paths = {desk.fetch(url, key=key).path for key in keys}
    assert len(paths) == len(keys)
    assert all(path.resolve().is_relative_to(desk.folder) for path in paths)


def test_discarding_deletes_all_of_one_key(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE)
    desk.fetch(url, key="a")
    other = desk.fetch(url, key="b").path
    desk.downloads.discard("a")
    desk.downloads.discard("a")
    assert [path for path in desk.folder.rglob("media")] == [other]


def test_a_file_of_an_unknown_state_begins_anew(origin: Origin, desk: Desk) -> None:
    url = origin.add("/a.mp4", FILE)
    path: Path = desk.fetch(url).path
    for torn in ("", "{", "[]", json.dumps({"sha256": 1, "other": 2})):
        path.with_suffix(".json").write_text(torn)
        assert desk.fetch(url).path.read_bytes() == FILE
