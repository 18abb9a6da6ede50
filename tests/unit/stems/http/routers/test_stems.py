import asyncio
from collections.abc import Iterator
from hashlib import sha256
from math import inf

import httpx
import pytest

from serve_app.api.streams import Streams
from serve_app.errors import NotReady
from tests.unit.live import serving
from tests.unit.server import Heard, Server, assert_problem

pytestmark = pytest.mark.anyio

DATA = bytes(range(256)) * 3000  # more than storage gives in one piece
ETAG = f'"{sha256(DATA).hexdigest()}"'


@pytest.fixture
async def url(server: Server, song: bytes) -> str:
    job_id = await server.separate(song)
    server.succeed({"drums": DATA, "bass": b""}, song_name="내 노래")
    return f"/job/{job_id}/stems/drums"


def assert_describes_stem(answer: httpx.Response) -> None:
    assert answer.headers["etag"] == ETAG
    assert answer.headers["accept-ranges"] == "bytes"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename=")
    assert "filename*=UTF-8''%EB%82%B4%20%EB%85%B8%EB%9E%98_drums.wav" in disposition


async def test_a_stem_is_downloaded_whole(server: Server, url: str) -> None:
    answer = await server.client.get(url)
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == str(len(DATA))
    assert "content-range" not in answer.headers
    assert_describes_stem(answer)


async def test_the_type_is_that_of_the_format(server: Server, song: bytes) -> None:
    job_id = await server.separate(song, format="mp3")
    server.succeed({"drums": DATA})
    answer = await server.client.get(f"/job/{job_id}/stems/drums")
    assert answer.headers["content-type"] == "audio/mpeg"
    assert 'filename="song_drums.mp3"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=300000-700000", 300_000, 700_001),
        ("bytes=767999-9999999", 767_999, 768_000),
    ],
)
async def test_a_part_of_a_stem_is_downloaded(
    server: Server, url: str, asked: str, start: int, end: int
) -> None:
    answer = await server.client.get(url, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == DATA[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(end - start)
    assert_describes_stem(answer)


async def test_a_range_outside_the_stem_is_refused(server: Server, url: str) -> None:
    answer = await server.client.get(url, headers={"Range": f"bytes={len(DATA)}-"})
    assert_problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


async def test_several_ranges_get_the_whole_stem(server: Server, url: str) -> None:
    answer = await server.client.get(url, headers={"Range": "bytes=0-1,5-6"})
    assert answer.status_code == 200
    assert answer.content == DATA


@pytest.mark.parametrize(("version", "status"), [(ETAG, 206), ('"older"', 200)])
async def test_a_download_goes_on_only_if_the_stem_is_the_same(
    server: Server, url: str, version: str, status: int
) -> None:
    headers = {"Range": "bytes=5-", "If-Range": version}
    answer = await server.client.get(url, headers=headers)
    assert answer.status_code == status
    assert answer.content == (DATA[5:] if status == 206 else DATA)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_stem_that_the_client_has_is_not_sent_again(
    server: Server, url: str, method: str
) -> None:
    headers = {"If-None-Match": ETAG, "Range": "bytes=0-1"}
    answer = await server.client.request(method, url, headers=headers)
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == ETAG


async def test_a_stem_can_be_asked_about(server: Server, url: str) -> None:
    answer = await server.client.head(url)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-type"] == "audio/wav"
    assert_describes_stem(answer)


async def test_an_empty_stem_is_downloaded(server: Server, url: str) -> None:
    answer = await server.client.get(url.replace("drums", "bass"))
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("name", ["piano", "..%2Fdrums", "Drums", "x" * 999])
async def test_an_unknown_stem_is_refused_with_those_there_are(
    server: Server, url: str, name: str
) -> None:
    answer = await server.client.get(url.replace("drums", name))
    assert answer.status_code == 404
    detail = assert_problem(answer, 404, answer.json()["code"])
    assert "%2F" in name or "drums, bass" in detail


async def test_a_job_that_is_not_over_has_no_stems_yet(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    url = f"/job/{job_id}/stems/drums"
    assert "pending" in assert_problem(await server.client.get(url), 409, "not_ready")
    server.claim()
    detail = assert_problem(await server.client.get(url), 409, "not_ready")
    assert f"Poll /job/{job_id}" in detail


async def test_a_job_that_gave_none_says_why(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    server.store.fail(server.claim(), "too_odd", "The song is too odd.")
    answer = await server.client.get(f"/job/{job_id}/stems/drums")
    assert "too odd. Upload" in assert_problem(answer, 409, "not_ready")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_stem_whose_file_is_gone_has_expired(
    server: Server, url: str, method: str
) -> None:
    server.storage.delete(f"stems/{url.split('/')[2]}/")
    answer = await server.client.request(method, url)
    assert answer.status_code == 404


async def test_a_stem_deleted_between_look_and_read_has_expired(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(key: str, start: int, end: int) -> None:
        raise FileNotFoundError(key)

    monkeypatch.setattr(server.storage, "read", gone)
    assert_problem(await server.client.get(url), 404, "job_not_found")


async def test_a_stem_is_followed_while_it_is_made(server: Server, song: bytes) -> None:
    job_id = await server.separate(song)
    for state in ("queued", "running"):
        answer = await server.client.get(f"/job/{job_id}/stems/bass?follow=1")
        assert answer.status_code == 200
        assert answer.text == "bass 0 bass 1 bass 2 "
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["cache-control"] == "no-store"
        assert server.pools.heard[-1].is_stopped
        if state == "queued":
            server.claim()


async def test_following_a_finished_stem_is_downloading_it(
    server: Server, url: str
) -> None:
    answer = await server.client.get(f"{url}?follow=1", headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.content) == (206, DATA[:10])


PLAYED = b"bass 0 bass 1 bass 2 "


@pytest.mark.parametrize("state", ["running", "succeeded"])
@pytest.mark.parametrize("start", [0, 3, 7, 20])
async def test_a_playback_is_continued_at_any_byte(
    server: Server, song: bytes, state: str, start: int
) -> None:
    """Also when the job has succeeded since, whose file has other bytes."""
    job_id = await server.separate(song)
    url = f"/job/{job_id}/stems/bass?follow=1"
    begun = await server.client.get(url, headers={"Range": "bytes=0-"})
    assert (begun.status_code, begun.content) == (206, PLAYED)
    assert begun.headers["accept-ranges"] == "bytes"
    assert begun.headers["content-range"] == "bytes 0-20/21"
    if state == "succeeded":
        server.succeed({"bass": DATA})
    headers = {"Range": f"bytes={start}-", "If-Range": begun.headers["etag"]}
    rest = await server.client.get(url, headers=headers)
    assert (rest.status_code, rest.content) == (206, PLAYED[start:])
    assert rest.headers["content-range"] == f"bytes {start}-20/21"
    assert rest.headers["etag"] == begun.headers["etag"]
    assert server.pools.heard[-1].is_stopped


@pytest.mark.parametrize("state", ["running", "succeeded"])
async def test_a_playback_in_floats_is_another_one(
    server: Server, song: bytes, state: str
) -> None:
    """Whose positions mean nothing in the one of 16 bits."""
    job_id = await server.separate(song)
    url = f"/job/{job_id}/stems/bass?follow=1&format=wav32f"
    begun = await server.client.get(url, headers={"Range": "bytes=0-"})
    assert begun.content == b"BASS 0 BASS 1 BASS 2 "
    if state == "succeeded":
        server.succeed({"bass": DATA})
    version = begun.headers["etag"]
    headers = {"Range": "bytes=5-", "If-Range": version}
    rest = await server.client.get(url, headers=headers)
    assert (rest.status_code, rest.content) == (206, begun.content[5:])
    headers["If-Range"] = '"playback"'
    other = await server.client.get(url, headers=headers)
    assert other.status_code == 200
    assert other.content == (DATA if state == "succeeded" else begun.content)


async def test_an_unknown_format_of_a_playback_is_refused(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    url = f"/job/{job_id}/stems/bass?follow=1&format=mp3"
    detail = assert_problem(await server.client.get(url), 422, "invalid_input")
    assert detail == "\"format\" must be one of wav, wav32f; got 'mp3'."


async def test_a_span_of_a_playback_can_be_requested(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song)
    url = f"/job/{job_id}/stems/bass?follow=1"
    answer = await server.client.get(url, headers={"Range": "bytes=5-8"})
    assert (answer.status_code, answer.content) == (206, PLAYED[5:9])
    beyond = await server.client.get(url, headers={"Range": "bytes=21-"})
    assert_problem(beyond, 416, "range_not_satisfiable")


@pytest.mark.parametrize(
    ("headers", "reason", "is_cut"),
    [
        ({}, "drain", True),
        ({"Range": "bytes=0-"}, "drain", True),
        ({"Range": "bytes=0-"}, "age", True),
        # A client without Range could not continue.
        ({}, "age", False),
    ],
)
async def test_a_playback_that_ends_early_is_aborted(
    server: Server, song: bytes, headers: dict[str, str], reason: str, is_cut: bool
) -> None:
    streams = Streams(0.001 if reason == "age" else inf)
    if reason == "drain":
        streams.drain()
    app = server.app_with(streams=streams)
    job_id = await server.separate(song)
    with serving(app) as address:
        url = f"{address}/job/{job_id}/stems/bass?follow=1"
        request = asyncio.to_thread(httpx.get, url, headers=headers)
        if is_cut:
            with pytest.raises(httpx.RemoteProtocolError):
                await request
        else:
            assert (await request).content == PLAYED


async def test_a_playback_of_a_job_that_fails_meanwhile_is_aborted(
    server: Server, song: bytes
) -> None:
    class Failing(Heard):
        size_bytes = 9

        def chunks(self, start_bytes: int = 0) -> Iterator[bytes]:
            yield b"bass"
            raise NotReady("The job ended without stems: It is damaged.")

    app = server.app_with(follow=lambda job, stem, form: Failing(stem))
    job_id = await server.separate(song)
    with serving(app) as address:
        url = f"{address}/job/{job_id}/stems/bass?follow=1"
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.to_thread(httpx.get, url)


async def test_what_will_never_be_made_can_not_be_followed(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song, stems="bass")
    answer = await server.client.get(f"/job/{job_id}/stems/drums?follow=1")
    assert "bass" in assert_problem(answer, 404, "stem_not_found")
    server.store.fail(server.claim(), "too_odd", "The song is too odd.")
    answer = await server.client.get(f"/job/{job_id}/stems/bass?follow=1")
    assert_problem(answer, 409, "not_ready")
