"""Direct uploads, from the first call to the job, over a real store."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.errors import StorageUnavailable
from serve_app.storage.addresses import Bucket
from serve_app.storage.s3 import S3Storage
from serve_app.storage.uploads import S3Uploads
from tests.s3 import S3Server
from tests.unit.server import LIMITS, Server, assert_problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Bucket]:
    with s3.new_bucket() as bucket:
        yield bucket


@pytest.fixture
def uploads(bucket: Bucket) -> S3Uploads:
    return S3Uploads(bucket, 60)


@pytest.fixture
async def client(
    server: Server, uploads: S3Uploads
) -> AsyncIterator[httpx.AsyncClient]:
    async with server.with_services(uploads=uploads) as client:
        yield client


def stored(bucket: Bucket) -> list[str]:
    return [file.key for file in S3Storage(bucket).list("")]


async def begin(client: httpx.AsyncClient, song: bytes, name: str = "노래.wav") -> Any:
    new = {"filename": name, "size_bytes": len(song)}
    answer = await client.post("/uploads", json=new)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(offer: Any, content: bytes) -> None:
    """PUT all parts, as a browser does."""
    async with httpx.AsyncClient() as browser:
        for part in offer["parts"]:
            start = (part["number"] - 1) * offer["part_bytes"]
            data = content[start : start + offer["part_bytes"]]
            (await browser.put(part["url"], content=data)).raise_for_status()


async def sent(client: httpx.AsyncClient, content: bytes) -> dict[str, str]:
    """Upload a file; return what names it."""
    offer = await begin(client, content)
    await send(offer, content)
    return {"upload_id": offer["upload_id"]}


async def test_a_file_that_was_sent_to_the_store_becomes_a_job(
    server: Server, client: httpx.AsyncClient, bucket: Bucket, song: bytes
) -> None:
    offer = await begin(client, song)
    expires_at = datetime.fromisoformat(offer["expires_at"])
    assert (expires_at - server.clock()).total_seconds() == 60
    assert [part["number"] for part in offer["parts"]] == [1]
    await send(offer, song)
    wanted = {"upload_id": offer["upload_id"], "stems": "vocals"}
    answer = await client.post("/separate", json=wanted)
    assert answer.status_code == 200, answer.text
    job = server.store.get(answer.json()["job_id"])
    assert (job.request.source.filename, job.request.source.size_bytes) == (
        "노래.wav",
        len(song),
    )
    assert job.request.options.stems == ("vocals",)
    assert b"".join(server.storage.read(job.request.source.key)) == song
    assert stored(bucket) == []


async def test_an_upload_is_used_once(client: httpx.AsyncClient, song: bytes) -> None:
    named = await sent(client, song)
    assert (await client.post("/separate", json=named)).status_code == 200
    again = await client.post("/separate", json=named)
    assert_problem(again, 404, "upload_not_found")


async def test_two_requests_at_once_make_one_job(
    server: Server, client: httpx.AsyncClient, bucket: Bucket, song: bytes
) -> None:
    named = await sent(client, song)
    answers = await asyncio.gather(
        *(client.post("/separate", json=named) for _ in range(3))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {404, 409}
    assert len(server.store.listed("", 9)) == 1
    assert stored(bucket) == []


async def test_what_has_not_come_is_named_and_can_be_sent_still(
    client: httpx.AsyncClient, song: bytes
) -> None:
    offer = await begin(client, song)
    named = {"upload_id": offer["upload_id"]}
    answer = await client.post("/separate", json=named)
    assert "missing or incomplete: 1." in assert_problem(
        answer, 409, "upload_incomplete"
    )
    await send(offer, song)
    assert (await client.post("/separate", json=named)).status_code == 200


async def test_a_request_that_is_refused_leaves_the_upload_for_another(
    server: Server, client: httpx.AsyncClient, song: bytes
) -> None:
    named = await sent(client, song)
    answer = await client.post("/separate", json={**named, "stems": "piano"})
    assert_problem(answer, 422, "invalid_field")
    answer = await client.post("/separate", json={**named, "filename": "mine.wav"})
    assert answer.json()["filename"] == "mine.wav"


@pytest.mark.parametrize(
    ("named", "title"),
    [
        ({"filename": 'Blue Monday (12" Mix).wav'}, 'Blue Monday (12" Mix).wav'),
        ({"filename": "C:\\fakepath\\song.wav"}, "song.wav"),
        ({"filename": "../a.wav"}, "a.wav"),
        ({"filename": "half \ud83c.wav"}, "half \ufffd.wav"),
        ({"filename": "음" * 300}, "음" * 255),
        ({"filename": ""}, "song"),
        ({"filename": None}, "song"),
        ({}, "song"),
    ],
)
async def test_any_name_is_taken(
    client: httpx.AsyncClient, song: bytes, named: dict[str, Any], title: str
) -> None:
    new = {**named, "size_bytes": len(song)}
    body = json.dumps(new)
    headers = {"Content-Type": "application/json"}
    offer = await client.post("/uploads", content=body, headers=headers)
    assert offer.status_code == 201, offer.text
    await send(offer.json(), song)
    by_id = {"upload_id": offer.json()["upload_id"]}
    answer = await client.post("/separate", json=by_id)
    assert answer.json()["filename"] == title


async def test_what_is_no_song_is_refused(
    server: Server, client: httpx.AsyncClient
) -> None:
    named = await sent(client, b"<html></html>")
    answer = await client.post("/separate", json=named)
    assert_problem(answer, 422, "unreadable_audio")
    assert server.left_behind() == []


async def test_an_upload_can_be_analysed(
    client: httpx.AsyncClient, bucket: Bucket, song: bytes
) -> None:
    answer = await client.post("/analyze", json=await sent(client, song))
    assert answer.status_code == 200, answer.text
    assert stored(bucket) == []


async def test_an_upload_that_is_given_up_is_gone(
    client: httpx.AsyncClient, bucket: Bucket, song: bytes
) -> None:
    for named in (await sent(client, song), await begin(client, song)):
        path = f"/uploads/{named['upload_id']}"
        answer = await client.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert_problem(await client.delete(path), 404, "upload_not_found")
        named = {"upload_id": named["upload_id"]}
        answer = await client.post("/separate", json=named)
        assert_problem(answer, 404, "upload_not_found")
    assert stored(bucket) == []


@pytest.mark.parametrize(
    "upload_id", ["0" * 32, "..", "F" * 32, "x", "a/b", "\x00", "a" * 5000]
)
async def test_what_is_no_upload_is_not_found(
    client: httpx.AsyncClient, upload_id: str
) -> None:
    answer = await client.post("/separate", json={"upload_id": upload_id})
    assert_problem(answer, 404, "upload_not_found")


async def test_ids_can_not_be_guessed(client: httpx.AsyncClient) -> None:
    ids = {(await begin(client, b"song"))["upload_id"] for _ in range(3)}
    assert len(ids) == 3
    assert {len(each) for each in ids} == {32}


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ({"filename": 5, "size_bytes": 5}, "invalid_input"),
        ({"filename": "a.wav", "size_bytes": 0}, "invalid_input"),
        ({"filename": "a.wav", "size_bytes": "many"}, "invalid_input"),
        ({"filename": "a.wav"}, "invalid_input"),
        ({"filename": "a.wav", "size_bytes": 5, "colour": 1}, "invalid_input"),
        ([], "invalid_input"),
    ],
)
async def test_a_bad_beginning_is_refused(
    client: httpx.AsyncClient, new: Any, code: str
) -> None:
    assert_problem(await client.post("/uploads", json=new), 422, code)


async def test_what_is_too_large_is_not_begun(client: httpx.AsyncClient) -> None:
    new = {"filename": "a.wav", "size_bytes": LIMITS.max_upload_bytes + 1}
    assert_problem(await client.post("/uploads", json=new), 413, "upload_too_large")


async def test_where_files_lie_in_a_directory_a_form_is_asked_for(
    server: Server,
) -> None:
    client, upload_id = server.client, "a" * 32
    new = {"filename": "a.wav", "size_bytes": 5}
    for answer in (
        await client.post("/uploads", json=new),
        await client.delete(f"/uploads/{upload_id}"),
        await client.post("/separate", json={"upload_id": upload_id}),
    ):
        assert "form" in assert_problem(answer, 501, "no_direct_uploads")


async def test_a_store_that_is_away_is_said(server: Server, bucket: Bucket) -> None:
    gone = Bucket("no-such-bucket", "", bucket.endpoint_url, bucket.region)
    async with server.with_services(uploads=S3Uploads(gone, 60)) as client:
        new = {"filename": "a.wav", "size_bytes": 5}
        answer = await client.post("/uploads", json=new)
        assert_problem(answer, 503, "storage_unavailable")
        answer = await client.post("/separate", json={"upload_id": "a" * 32})
        assert_problem(answer, 503, "storage_unavailable")


async def test_a_job_is_accepted_also_when_its_upload_can_not_be_deleted(
    server: Server,
    client: httpx.AsyncClient,
    uploads: S3Uploads,
    song: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(upload_id: str) -> bool:
        raise StorageUnavailable("The file store does not answer.")

    named = await sent(client, song)
    monkeypatch.setattr(uploads, "give_up", fail)
    assert (await client.post("/separate", json=named)).status_code == 200
    assert server.pools.woken == 1


async def test_a_request_cancelled_while_its_upload_is_fetched_leaves_no_claim(
    server: Server,
    client: httpx.AsyncClient,
    uploads: S3Uploads,
    song: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named, fetch, started = await sent(client, song), uploads.fetch, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(upload_id: str, path: Path, is_wanted: Any) -> str:
        loop.call_soon_threadsafe(started.set)
        while is_wanted():
            pass
        return fetch(upload_id, path, is_wanted)

    monkeypatch.setattr(uploads, "fetch", slow)
    task = asyncio.ensure_future(client.post("/separate", json=named))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.setattr(uploads, "fetch", fetch)
    assert server.left_behind() == []
    assert (await client.post("/separate", json=named)).status_code == 200


async def test_an_upload_is_begun_once_under_its_key(
    client: httpx.AsyncClient, uploads: S3Uploads, bucket: Bucket, s3: S3Server
) -> None:
    async def ask(name: str = "a.wav") -> httpx.Response:
        new = {"filename": name, "size_bytes": 5}
        return await client.post("/uploads", json=new, headers={"Idempotency-Key": "k"})

    answers = await asyncio.gather(*(ask() for _ in range(3)))
    assert {answer.status_code for answer in answers} == {201}
    assert all(answer.json() == answers[0].json() for answer in answers)
    unfinished = s3.client().list_multipart_uploads(Bucket=bucket.name)
    assert len(unfinished["Uploads"]) == 1
    assert_problem(await ask("b.wav"), 422, "idempotency_key_reused")
