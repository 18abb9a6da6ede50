"""A mix of stems is made once, and downloaded by a link."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from serve_app.errors import StorageFull
from serve_app.stems.mixes import MixRequest
from serve_app.storage.disk_reserve import DiskReserve
from tests.unit.access.gate import guarded
from tests.unit.pools import StoredReports
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

STEMS = {"drums": b"drums", "bass": b"bass"}


class Analyzers(StoredReports):
    """Analyzers that count the mixes they make."""

    made = 0

    async def mix(self, request: MixRequest) -> None:
        self.made += 1
        await asyncio.sleep(0.05)
        await super().mix(request)


@pytest.fixture
def analyzers(server: Server) -> Analyzers:
    return Analyzers(server.storage, server.files_dir.parent)


@pytest.fixture
async def client(
    server: Server, analyzers: Analyzers
) -> AsyncIterator[httpx.AsyncClient]:
    async with server.with_services(analyses=analyzers) as client:
        yield client


@pytest.fixture
async def job_id(server: Server, song: bytes) -> str:
    job_id = await server.separate(song)
    server.succeed(STEMS)
    return job_id


async def test_a_mix_is_made_and_downloaded(
    client: httpx.AsyncClient, job_id: str
) -> None:
    body = {"gains": {"drums": 1, "bass": 0.5}, "format": "flac"}
    made = await client.post(f"/job/{job_id}/mix", json=body)
    assert made.status_code == 200, made.text
    mix = made.json()
    url = mix.pop("download_url")
    assert url.startswith(f"http://server/job/{job_id}/mix/")
    assert mix == {
        "filename": "song (drums + bass).flac",
        "size_bytes": 3,
        "format": "flac",
        "gain": 1.0,
    }
    whole = await client.get(url)
    assert (whole.status_code, whole.content) == (200, b"mix")
    assert whole.headers["content-type"] == "audio/flac"
    disposition = whole.headers["content-disposition"]
    assert 'filename="song (drums + bass).flac"' in disposition
    rest = await client.get(
        url, headers={"Range": "bytes=1-", "If-Range": whole.headers["etag"]}
    )
    assert (rest.status_code, rest.content) == (206, b"ix")
    head = await client.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, "3")


async def test_the_same_mix_is_made_once(
    client: httpx.AsyncClient, analyzers: Analyzers, job_id: str
) -> None:
    body = {"gains": {"drums": 1.0}}
    calls = (client.post(f"/job/{job_id}/mix", json=body) for _ in range(3))
    first, *others = await asyncio.gather(*calls)
    again = await client.post(f"/job/{job_id}/mix", json={"gains": {"drums": 1}})
    assert {each.text for each in (*others, again)} == {first.text}
    assert analyzers.made == 1


async def test_a_mix_that_was_cut_short_is_made_again(
    server: Server, client: httpx.AsyncClient, analyzers: Analyzers, job_id: str
) -> None:
    body = {"gains": {"drums": 1.0}}
    made = await client.post(f"/job/{job_id}/mix", json=body)
    (path,) = server.files_dir.rglob("mix-*.wav")
    path.write_bytes(b"m")
    url = made.json()["download_url"]
    assert_problem(await client.get(url), 404, "mix_not_found")
    await client.post(f"/job/{job_id}/mix", json=body)
    assert (await client.get(url)).content == b"mix"
    assert analyzers.made == 2


async def test_more_mixes_at_once_than_are_kept_are_refused_before_any_work(
    server: Server, client: httpx.AsyncClient, analyzers: Analyzers, song: bytes
) -> None:
    """Those that are made are kept, each for at least a minute."""
    # Files have the time of the real clock.
    server.clock.now = datetime.now(UTC)
    job_id = await server.separate(song)
    server.succeed(STEMS)

    async def made(gain: float) -> httpx.Response:
        body = {"gains": {"drums": gain}}
        return await client.post(f"/job/{job_id}/mix", json=body)

    answers = await asyncio.gather(*(made(number / 10) for number in range(1, 13)))
    refused = [each for each in answers if each.status_code != 200]
    urls = [each.json()["download_url"] for each in answers if each not in refused]
    assert (len(urls), analyzers.made) == (8, 8)
    for answer in refused:
        said = assert_problem(answer, 429, "too_many_requests")
        assert said.startswith("At most 8 mixes of a job can be made in a minute.")
        assert int(answer.headers["retry-after"]) > 0
    assert {(await client.get(url)).status_code for url in urls} == {200}
    server.clock.move(300)
    later = await made(1.3)
    assert (await client.get(later.json()["download_url"])).status_code == 200
    assert [(await client.get(url)).status_code for url in urls].count(404) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, '"gains" is required.'),
        ({"gains": {}}, "at least one a gain above 0"),
        ({"gains": {"drums": 0}}, "at least one a gain above 0"),
        ({"gains": {"drums": 2.1}}, '"gains.drums" must be at most 2, got 2.1.'),
        ({"gains": {"drums": 1e-300}}, '"gains.drums" must be 0, or from 0.000001'),
        ({"gains": {"drums": -1}}, '"gains.drums" must be at least 0, got -1.'),
        ({"gains": {"drums": "1"}}, "\"gains.drums\" must be a number, got '1'."),
        ({"gains": {"drums": True}}, '"gains.drums" must be a number, got true.'),
        ({"gains": {"piano": 1}}, "Its stems are drums, bass."),
        ({"gains": [1]}, '"gains" must be'),
        ({"gains": {"drums": 1}, "format": "aac"}, "There is no format 'aac'"),
        ({"gains": {"drums": 1}, "tempo": 2}, '"tempo" is not a known field.'),
    ],
)
async def test_an_invalid_mix_is_refused_with_what_is_allowed(
    client: httpx.AsyncClient,
    analyzers: Analyzers,
    job_id: str,
    body: dict[str, Any],
    said: str,
) -> None:
    answer = await client.post(f"/job/{job_id}/mix", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert analyzers.made == 0


async def test_only_a_completed_job_is_mixed(
    server: Server, client: httpx.AsyncClient, song: bytes
) -> None:
    job_id, body = await server.separate(song), {"gains": {"drums": 1.0}}
    early = await client.post(f"/job/{job_id}/mix", json=body)
    assert_problem(early, 409, "not_ready")
    unknown = await client.post(f"/job/{'0' * 32}/mix", json=body)
    assert_problem(unknown, 404, "job_not_found")


@pytest.mark.parametrize("mix_id", ["a" * 32, "x", "..%2f..%2fetc", "A" * 32])
async def test_a_mix_that_was_not_made_is_not_found(
    client: httpx.AsyncClient, job_id: str, mix_id: str
) -> None:
    answer = await client.get(f"/job/{job_id}/mix/{mix_id}")
    assert answer.status_code == 404


async def test_no_mix_is_made_on_a_disk_that_is_nearly_full(
    server: Server, analyzers: Analyzers, job_id: str
) -> None:
    class Full(DiskReserve):
        def check(self) -> None:
            raise StorageFull("The disk is nearly full.")

    async with server.with_services(analyses=analyzers, reserve=Full()) as client:
        answer = await client.post(f"/job/{job_id}/mix", json={"gains": {"drums": 1.0}})
    assert_problem(answer, 503, "storage_full")
    assert analyzers.made == 0


async def test_with_credentials_the_url_of_a_mix_is_a_signed_link(
    server: Server, analyzers: Analyzers, song: bytes
) -> None:
    server.stems = replace(server.stems, analyses=analyzers)
    async with guarded(server) as gate:
        _, owner = gate.key("stems:read", "stems:write")
        job_id = await gate.separated(song, owner)
        _, reader = gate.key("stems:read")
        made = await gate.client.post(
            f"/job/{job_id}/mix", json={"gains": {"drums": 1.0}}, headers=reader
        )
        url = made.json()["download_url"]
        assert urlsplit(url).query.startswith("token=")
        assert (await gate.client.get(url)).content == b"mix"
        bare = await gate.client.get(url.partition("?")[0])
        assert bare.status_code == 401
