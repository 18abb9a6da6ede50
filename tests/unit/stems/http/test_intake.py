import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.audio.facts import AudioFacts
from serve_app.errors import BadRequest
from serve_app.filenames import titles
from serve_app.storage.disk_reserve import DiskReserve
from tests import media
from tests.disks import SmallDisk, open_files
from tests.unit.server import (
    LIMITS,
    Server,
    assert_problem,
    connect,
    refuse_to_read,
)

pytestmark = pytest.mark.anyio

CALLS = ["/separate", "/analyze"]
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


async def assert_next_song_works(server: Server, song: bytes) -> None:
    assert server.left_behind() == []
    answer = await server.client.post("/separate", files={"file": ("a.wav", song)})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", sorted(media.BAD))
async def test_bad_audio_is_refused_and_nothing_of_it_is_kept(
    server: Server, song: bytes, tmp_path: Path, call: str, kind: str
) -> None:
    suffix, write = media.BAD[kind]
    path = tmp_path / f"bad{suffix}"
    write(path)
    answer = await server.client.post(
        call, files={"file": (path.name, path.read_bytes())}
    )
    code = "audio_too_long" if kind == "silence bomb" else "unreadable_audio"
    detail = assert_problem(answer, 413 if "bomb" in kind else 422, code)
    assert len(detail) > 20
    await assert_next_song_works(server, song)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "C:\\songs\\a.wav",
        'a "b".wav',
        "a\nb.wav",
        "음" * 300,
        "",
        "CON",
    ],
)
async def test_any_name_is_taken(
    server: Server, song: bytes, call: str, name: str
) -> None:
    answer = await server.client.post(call, files={"file": (name, song)})
    assert answer.is_success, answer.text
    assert answer.json()["filename"] == titles.clean(name)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("is_first", [True, False])
async def test_unknown_fields_are_ignored_and_named_wherever_they_are(
    server: Server, song: bytes, call: str, is_first: bool
) -> None:
    known = [("file", ("a.wav", song))]
    unknown = [
        ("colour", (None, b"red")),
        ("stem", (None, b"vocals")),
        ("cover", ("cover.png", bytes(100_000))),
    ]
    files = [*unknown, *known] if is_first else [*known, *unknown]
    answer = await server.client.post(call, files=files)
    assert answer.is_success, answer.text
    assert answer.json()["filename"] == "a.wav"
    assert answer.json()["size_bytes"] == len(song)
    assert answer.json()["ignored_fields"] == ["colour", "stem", "cover"]


@pytest.mark.parametrize("call", CALLS)
async def test_unknown_fields_count_towards_the_limit(
    server: Server, song: bytes, call: str
) -> None:
    cover = ("cover.png", bytes(LIMITS.max_upload_bytes))
    files = {"file": ("a.wav", song), "cover": cover}
    answer = await server.client.post(call, files=files)
    assert_problem(answer, 413, "upload_too_large")
    await assert_next_song_works(server, song)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "request_of",
    [
        lambda song: {"data": {"text": "no file"}, "files": {}},
        lambda song: {"files": {"song": ("a.wav", song)}},
        lambda song: {"files": [("file", ("a.wav", song)), ("file", ("b.wav", song))]},
        lambda song: {"json": {"file": "a.wav"}},
        lambda song: {"content": song, "headers": {"Content-Type": "audio/wav"}},
        lambda song: {"content": HEAD + song, "headers": BOUNDARY},
        lambda song: {"content": b"", "headers": BOUNDARY},
        lambda song: {},
    ],
    ids=[
        "no multipart",
        "no field file",
        "two files",
        "json",
        "raw audio",
        "cut off",
        "empty",
        "nothing",
    ],
)
async def test_a_bad_form_is_refused_and_nothing_of_it_is_kept(
    server: Server,
    song: bytes,
    call: str,
    request_of: Callable[[bytes], dict[str, Any]],
) -> None:
    answer = await server.client.post(call, **request_of(song))
    assert answer.status_code in (400, 422)
    detail = assert_problem(answer, answer.status_code, answer.json()["code"])
    assert "file" in detail or "form" in detail
    await assert_next_song_works(server, song)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "length",
    [str(LIMITS.max_upload_bytes + 1024 * 1024), "9" * 5000, "0" * 5000 + "9" * 19],
    ids=["some", "digits", "zeros"],
)
async def test_what_is_announced_as_too_large_is_refused_unread(
    server: Server, call: str, length: str
) -> None:
    """The server does not ask for one byte of the body."""
    headers = {"Content-Length": length}
    assert await server.post_raw(call, headers, refuse_to_read) == 413


@pytest.mark.parametrize("call", CALLS)
async def test_an_endless_body_is_refused_at_the_limit(
    server: Server, song: bytes, call: str
) -> None:
    """Chunked bodies announce no length: no more than the limit is taken of them."""
    sent_bytes = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent_bytes
        yield HEAD
        while True:
            sent_bytes += 65_536
            yield bytes(65_536)

    answer = await server.client.post(call, content=body(), headers=BOUNDARY)
    assert_problem(answer, 413, "upload_too_large")
    assert sent_bytes < LIMITS.max_upload_bytes + 1_000_000
    await assert_next_song_works(server, song)


async def test_junk_after_a_form_counts_towards_the_limit(server: Server) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield HEAD + TAIL
        while True:
            yield bytes(65_536)

    answer = await server.client.post("/separate", content=body(), headers=BOUNDARY)
    assert_problem(answer, 413, "upload_too_large")


@pytest.mark.parametrize("step", [1000, 10_000_000])
async def test_a_chunked_body_is_taken_however_it_is_cut(
    server: Server, song: bytes, step: int
) -> None:
    data = HEAD + song + TAIL

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(data), step):
            yield data[start : start + step]

    answer = await server.client.post("/separate", content=body(), headers=BOUNDARY)
    assert answer.status_code == 200
    assert answer.json()["size_bytes"] == len(song)


async def test_a_client_that_goes_away_leaves_nothing(
    server: Server, song: bytes
) -> None:
    messages = [
        {"type": "http.request", "body": HEAD + song, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    assert await server.post_raw("/separate", BOUNDARY, receive) == 400
    await assert_next_song_works(server, song)


async def test_a_song_is_decoded_for_as_long_as_its_client_waits(
    server: Server, song: bytes
) -> None:
    left, messages = asyncio.Event(), [HEAD + song + TAIL]

    async def receive() -> Any:
        if messages:
            body = messages.pop()
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    loop = asyncio.get_running_loop()

    def measure(path: Path, is_wanted: Callable[[], bool]) -> AudioFacts:
        assert is_wanted()
        loop.call_soon_threadsafe(left.set)
        while is_wanted():
            time.sleep(0.01)
        raise BadRequest("The connection was closed.")

    app = server.app_with(measure=measure)
    async with asyncio.timeout(10):
        status = await replace(server, app=app).post_raw("/separate", BOUNDARY, receive)
    assert status == 400
    assert server.left_behind() == []


async def test_a_request_cancelled_while_its_song_is_decoded_leaves_nothing(
    server: Server, song: bytes
) -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(path: Path, is_wanted: Callable[[], bool]) -> AudioFacts:
        started.set()
        may_end.wait(5)
        return server.stems.arrivals.measure(path, is_wanted)

    async with server.with_services(measure=slow) as client:
        request = client.post("/separate", files={"file": ("a.wav", song)})
        task = asyncio.ensure_future(request)
        await asyncio.to_thread(started.wait, 5)
        task.cancel()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    await assert_next_song_works(server, song)


async def test_others_are_answered_while_songs_are_decoded(
    server: Server, song: bytes
) -> None:
    """Not only the event loop stays free: so do threads, for those who poll."""
    may_end = threading.Event()

    def slow(path: Path, is_wanted: Callable[[], bool]) -> AudioFacts:
        may_end.wait(60)
        return server.stems.arrivals.measure(path, is_wanted)

    limits = LIMITS.__class__(LIMITS.max_upload_bytes, 100, 1800.0)
    services = {"measure": slow, "limits": limits}
    async with server.with_services(**services) as client:
        uploads = [
            asyncio.ensure_future(
                client.post("/separate", files={"file": ("a.wav", song)})
            )
            for _ in range(12)
        ]
        await asyncio.sleep(0.2)
        try:
            for path in ("/ping", "/jobs", "/health"):
                answer = await asyncio.wait_for(client.get(path), 10)
                assert answer.status_code == 200
            assert not any(upload.done() for upload in uploads)
        finally:
            may_end.set()
        answers = await asyncio.gather(*uploads)
    assert {answer.status_code for answer in answers} == {200}


async def test_a_song_is_decoded_beside_long_ones_of_several_clients(
    server: Server, song: bytes
) -> None:
    may_end = threading.Event()

    def slow(path: Path, is_wanted: Callable[[], bool]) -> AudioFacts:
        if path.stat().st_size > len(song):
            may_end.wait(60)
        return server.stems.arrivals.measure(path, is_wanted)

    limits = LIMITS.__class__(LIMITS.max_upload_bytes, 100, 1800.0)
    services = {"measure": slow, "limits": limits, "tenant_header": "X-Tenant"}
    async with server.with_services(**services) as client:

        def send(tenant: str, data: bytes) -> asyncio.Future[httpx.Response]:
            files, headers = {"file": ("a.wav", data)}, {"X-Tenant": tenant}
            return asyncio.ensure_future(
                client.post("/separate", files=files, headers=headers)
            )

        long = [send(tenant, song + bytes(1000)) for tenant in "aabbccd"]
        await asyncio.sleep(0.2)
        try:
            assert (await asyncio.wait_for(send("e", song), 10)).status_code == 200
            assert not any(each.done() for each in long)
        finally:
            may_end.set()
        answers = await asyncio.gather(*long)
    assert {answer.status_code for answer in answers} == {200}


async def test_a_working_directory_that_is_gone_is_made_again(
    server: Server, song: bytes
) -> None:
    app = server.app_with()
    server.working_dir.rmdir()
    async with connect(app) as client:
        answer = await client.post("/separate", files={"file": ("a.wav", song)})
    assert answer.status_code == 200


async def test_a_working_directory_that_cannot_be_is_not_the_songs_fault(
    server: Server, song: bytes
) -> None:
    app = server.app_with()
    server.working_dir.rmdir()
    server.working_dir.write_text("in the way")
    async with connect(app) as client:
        answer = await client.post("/separate", files={"file": ("a.wav", song)})
    assert "disk" in assert_problem(answer, 503, "storage_unavailable")


@pytest.mark.parametrize("path", CALLS)
async def test_songs_are_refused_unread_while_the_disk_is_nearly_full(
    server: Server, tmp_path: Path, path: str
) -> None:
    reserve = DiskReserve({"stored_files": tmp_path}, 2**60)
    app = server.app_with(reserve=reserve)
    full = replace(server, app=app)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert await full.post_raw(path, headers, refuse_to_read) == 503
    async with connect(app) as client:
        answer = await client.post(path, files={"file": ("a.wav", b"RIFF")})
    assert "stored_files" in assert_problem(answer, 503, "storage_full")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("room_bytes", [0, 40_000])
async def test_a_disk_that_gets_full_under_an_upload_is_away(
    server: Server, song: bytes, small_disk: SmallDisk, room_bytes: int
) -> None:
    app = server.app_with(working_dir=small_disk.path / "tmp")
    async with connect(app) as client:
        with small_disk.filled(room_bytes):
            answer = await client.post("/separate", files={"file": ("a.wav", song)})
        assert "full" in assert_problem(answer, 503, "storage_full")
        assert open_files(small_disk.path) == []
        assert not list((small_disk.path / "tmp").glob("*"))
        answer = await client.post("/separate", files={"file": ("a.wav", song)})
    assert answer.status_code == 200
