"""Songs fetched by URL through the routes, also from servers that misbehave."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.errors import StorageUnavailable
from serve_app.outbound.download import DownloadLimits
from serve_app.stems.http.intake import FETCHES_AT_ONCE
from serve_app.stems.remote_songs import Inputs
from serve_app.storage.inputs import InputBuckets
from tests.hostile import HOSTILE, PUBLIC, Listener, asker
from tests.s3 import S3Server
from tests.unit.outbound.test_download import Host
from tests.unit.server import LIMITS, Server, assert_problem

pytestmark = pytest.mark.anyio

CALLS = ["/separate", "/analyze"]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def host(song: bytes) -> Iterator[Host]:
    host = Host()
    host.content = song
    yield host
    host.close()


@pytest.fixture
async def client(server: Server, host: Host) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that reaches `host`."""
    async with server.with_services(fetch=fetch_from(host)) as client:
        yield client


def fetch_from(host: Host, max_seconds: float = 20.0) -> Any:
    limits = DownloadLimits(LIMITS.max_upload_bytes, max_seconds)
    return Inputs(host.asker(), None, limits).fetch


def wait_until_asked(host: Host) -> None:
    while not host.ranges:
        time.sleep(0.01)


async def test_a_song_is_fetched_and_becomes_a_job_like_any_other(
    server: Server, client: httpx.AsyncClient, host: Host, song: bytes
) -> None:
    options = {"stems": ["vocals", "drums"], "format": "flac", "priority": "low"}
    answer = await client.post("/separate", json={"url": host.url, **options})
    assert answer.status_code == 200, answer.text
    accepted = answer.json()
    assert accepted["filename"] == "a song.mp3"
    assert accepted["size_bytes"] == len(song)
    assert (accepted["stems"], accepted["format"]) == (["drums", "vocals"], "flac")
    job = server.store.get(accepted["job_id"])
    assert job.request.options.priority == "low"
    assert b"".join(server.storage.read(job.request.source.key)) == song
    uploaded = server.store.get(await server.separate(song))
    assert job.request.source.sha256 == uploaded.request.source.sha256
    assert job.request.source.mean == uploaded.request.source.mean
    assert list(server.working_dir.iterdir()) == []


async def test_a_song_is_fetched_to_be_analysed(
    server: Server, client: httpx.AsyncClient, host: Host
) -> None:
    answer = await client.post("/analyze", json={"url": host.url})
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == "a song.mp3"
    assert server.left_behind() == []
    answer = await client.post("/analyze", json={"url": host.url, "model": "demo"})
    assert_problem(answer, 422, "invalid_field")


@pytest.mark.parametrize(
    ("theirs", "given", "name"),
    [
        ("mine.flac", None, "mine.flac"),
        ("mine.flac", "노래.flac", "노래.flac"),
        ("..", None, "song"),
        ("x" * 300, None, "x" * 255),
        ("x" * 300, "mine.wav", "mine.wav"),
        ("12%22 Mix.wav", None, '12" Mix.wav'),
        ("C:\\songs\\a.wav", None, "a.wav"),
        ("a.wav", '12" Mix.wav', '12" Mix.wav'),
        ("a.wav", "../b.wav", "b.wav"),
    ],
)
async def test_a_song_has_the_name_that_is_given_or_that_it_has_there(
    client: httpx.AsyncClient, host: Host, theirs: str, given: str | None, name: str
) -> None:
    host.headers["Content-Disposition"] = f'attachment; filename="{theirs}"'
    answer = await client.post("/separate", json={"url": host.url, "filename": given})
    assert answer.json()["filename"] == name


async def test_a_download_that_is_cut_off_goes_on(
    client: httpx.AsyncClient, host: Host, song: bytes
) -> None:
    host.cut_after = [10_000, 20_000]
    answer = await client.post("/separate", json={"url": host.url})
    assert answer.status_code == 200
    assert answer.json()["size_bytes"] == len(song)
    assert host.ranges == [None, "bytes=10000-", "bytes=30000-"]


def no_song(host: Host) -> None:
    host.content = b"<html>Not here.</html>"


def too_large(host: Host) -> None:
    host.content = bytes(LIMITS.max_upload_bytes + 1)


def too_large_unannounced(host: Host) -> None:
    too_large(host)
    host.announces = False


def missing(host: Host) -> None:
    host.status = 404


def always_cut(host: Host) -> None:
    host.cut_after = [1000, 0, 0, 0]


def cut_in_half(host: Host) -> None:
    host.content = host.content[: len(host.content) // 2]


def leads_inside(host: Host) -> None:
    host.status, host.headers["Location"] = 302, "http://169.254.169.254/latest"


def leads_to_a_file(host: Host) -> None:
    host.status, host.headers["Location"] = 302, "file:///etc/passwd"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("prepare", "status", "code"),
    [
        (no_song, 422, "unreadable_audio"),
        (cut_in_half, 422, "unreadable_audio"),
        (too_large, 413, "upload_too_large"),
        (too_large_unannounced, 413, "upload_too_large"),
        (missing, 422, "unreachable_url"),
        (always_cut, 422, "unreachable_url"),
        (leads_inside, 422, "refused_url"),
        (leads_to_a_file, 422, "refused_url"),
    ],
)
async def test_what_is_no_song_is_refused_and_nothing_of_it_is_kept(
    server: Server,
    client: httpx.AsyncClient,
    host: Host,
    call: str,
    prepare: Callable[[Host], None],
    status: int,
    code: str,
) -> None:
    prepare(host)
    answer = await client.post(call, json={"url": host.url})
    assert len(assert_problem(answer, status, code)) > 20
    assert server.left_behind() == []


async def test_a_server_that_is_too_slow_is_given_up(
    server: Server, host: Host
) -> None:
    host.content, host.pause_seconds = bytes(1_000_000), 0.3
    async with server.with_services(fetch=fetch_from(host, 0.5)) as client:
        answer = await client.post("/separate", json={"url": host.url})
    assert_problem(answer, 422, "unreachable_url")
    assert server.left_behind() == []


async def test_no_hostile_url_has_anything_asked(server: Server, song: bytes) -> None:
    """One server of our own network, one that stands for the web: neither hears us."""
    inner = Listener("127.0.0.1")
    outer = Listener(PUBLIC, inner.port)
    inputs = Inputs(asker(inner.port), None, DownloadLimits(1_000_000, 5.0))
    async with server.with_services(fetch=inputs.fetch) as client:
        for url in HOSTILE:
            address = url.replace("{port}", str(inner.port))
            answer = await client.post("/separate", json={"url": address})
            code = "refused_url" if url else "invalid_field"
            assert_problem(answer, 422, code)
            assert (inner.reached, outer.reached) == ([], []), address
        host = f"http://good.example:{inner.port}/song"
        for status in (301, 302, 303, 307, 308):
            there = {"Location": f"http://127.0.0.1:{inner.port}/"}
            outer.answers.append((status, there, b""))
            answer = await client.post("/separate", json={"url": host})
            assert_problem(answer, 422, "refused_url")
        assert inner.reached == []
        outer.answers.append((200, {}, song))
        answer = await client.post("/separate", json={"url": host})
        assert answer.status_code == 200
    for listener in (inner, outer):
        listener.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"url": 5}', b'{"file": "a.wav"}', b" " * 300_000],
)
@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=x"])
async def test_bad_json_is_refused(server: Server, content: bytes, kind: str) -> None:
    answer = await server.client.post(
        "/separate", content=content, headers={"Content-Type": kind}
    )
    assert answer.status_code in ((413,) if len(content) > 70_000 else (400, 422))
    assert_problem(answer, answer.status_code, answer.json()["code"])
    assert server.left_behind() == []


async def test_a_wrong_option_is_refused_as_in_a_form(
    server: Server, client: httpx.AsyncClient, host: Host
) -> None:
    answer = await client.post("/separate", json={"url": host.url, "stems": ["piano"]})
    assert "drums, bass" in assert_problem(answer, 422, "invalid_field")
    assert answer.json()["errors"][0]["loc"] == ["body", "stems"]
    assert server.left_behind() == []


async def test_a_client_that_goes_away_ends_its_download(
    server: Server, host: Host
) -> None:
    host.content, host.pause_seconds = bytes(1_900_000), 0.1
    body = json.dumps({"url": host.url}).encode()
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.to_thread(wait_until_asked, host)
        return {"type": "http.disconnect"}

    app = server.app_with(fetch=fetch_from(host))
    began = time.monotonic()
    status = await replace(server, app=app).post_raw("/separate", JSON, receive)
    assert status == 409
    assert time.monotonic() - began < 1.5  # It would take 3.
    assert server.left_behind() == []


async def test_a_request_that_is_cancelled_ends_its_download(
    server: Server, client: httpx.AsyncClient, host: Host
) -> None:
    host.content, host.pause_seconds = bytes(1_900_000), 0.1
    task = asyncio.ensure_future(client.post("/separate", json={"url": host.url}))
    await asyncio.to_thread(wait_until_asked, host)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1.5
    assert server.left_behind() == []


async def test_few_songs_are_fetched_at_once_and_others_are_answered(
    server: Server, song: bytes
) -> None:
    may_end, lock = threading.Event(), threading.Lock()
    running, most = 0, 0

    def slow(url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        may_end.wait(60)
        with lock:
            running -= 1
        path.write_bytes(song)
        return "song.wav"

    limits = LIMITS.__class__(LIMITS.max_upload_bytes, 100, 1800.0)
    async with server.with_services(fetch=slow, limits=limits) as client:
        given = {"url": "https://example.com/song"}
        asked = [
            asyncio.ensure_future(client.post("/separate", json=given))
            for _ in range(FETCHES_AT_ONCE + 4)
        ]
        await asyncio.sleep(0.3)
        try:
            for path in ("/ping", "/jobs", "/health"):
                answer = await asyncio.wait_for(client.get(path), 10)
                assert answer.status_code == 200
            files = {"file": ("a.wav", song)}
            answer = await asyncio.wait_for(client.post("/separate", files=files), 10)
            assert answer.status_code == 200
        finally:
            may_end.set()
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert most == FETCHES_AT_ONCE


async def test_a_full_disk_is_not_the_songs_fault(server: Server) -> None:
    def full(url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        raise OSError(28, "No space left on device")

    async with server.with_services(fetch=full) as client:
        answer = await client.post("/separate", json={"url": "https://example.com/a"})
    assert "disk" in assert_problem(answer, 503, "storage_full")


async def test_a_full_queue_is_told_before_anything_is_fetched(
    server: Server, client: httpx.AsyncClient, host: Host, song: bytes
) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        await server.separate(song)
    answer = await client.post("/separate", json={"url": host.url})
    assert_problem(answer, 429, "queue_full")
    assert host.ranges == []


async def test_a_song_in_a_bucket_is_fetched(
    server: Server, s3: S3Server, song: bytes
) -> None:
    with s3.new_bucket() as bucket:
        s3.client().put_object(Bucket=bucket.name, Key="songs/노래.wav", Body=song)
        limits = DownloadLimits(LIMITS.max_upload_bytes, 20.0)
        inputs = Inputs(None, InputBuckets([bucket]), limits)
        url = f"s3://{bucket.name}/songs/노래.wav"
        async with server.with_services(fetch=inputs.fetch) as client:
            answer = await client.post("/separate", json={"url": url})
            gone = await client.post("/separate", json={"url": f"{url}.gone"})
            other = await client.post("/separate", json={"url": "s3://other/a.wav"})
    assert answer.json()["filename"] == "노래.wav"
    assert_problem(gone, 422, "unreachable_url")
    assert "INPUT_BUCKETS" in assert_problem(other, 422, "refused_url")


@pytest.mark.parametrize(
    ("url", "setting"),
    [("https://example.com/a.wav", "INPUT_URLS"), ("s3://songs/a", "INPUT_BUCKETS")],
)
async def test_where_nothing_is_fetched_the_setting_is_named(
    server: Server, url: str, setting: str
) -> None:
    nothing = Inputs(None, None, DownloadLimits(1000, 1.0))
    async with server.with_services(fetch=nothing.fetch) as client:
        answer = await client.post("/separate", json={"url": url})
    assert setting in assert_problem(answer, 422, "refused_url")


async def test_a_bucket_that_does_not_answer_is_not_the_clients_fault(
    server: Server,
) -> None:
    def away(url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        raise StorageUnavailable("The file store does not answer; try again later.")

    async with server.with_services(fetch=away) as client:
        answer = await client.post("/separate", json={"url": "s3://songs/a"})
    assert_problem(answer, 503, "storage_unavailable")


async def test_both_ways_in_are_described(server: Server) -> None:
    description = (await server.client.get("/openapi.json")).json()
    content = description["paths"]["/separate"]["post"]["requestBody"]["content"]
    form, by_name = (
        set(content[kind]["schema"]["properties"])
        for kind in ("multipart/form-data", "application/json")
    )
    assert by_name == form - {"file"} | {"url", "upload_id", "filename"}
