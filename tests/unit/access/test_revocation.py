"""A key that is revoked ends the requests that it began."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx
import pytest

from serve_app.access import key_cache
from serve_app.api import door
from serve_app.errors import DatabaseUnavailable
from serve_app.stems.request import Stage
from tests.unit.access.gate import Gate, guarded
from tests.unit.live import serving
from tests.unit.server import Heard, Server

pytestmark = pytest.mark.anyio

REAL_SECONDS = (key_cache.FRESH_SECONDS, door._RECHECK_SECONDS)
FAST_SECONDS = 0.1
PROMISED_SECONDS = 5.0
_BOUNDARY = "boundary"
_PART = "\r\n".join(
    (
        f"--{_BOUNDARY}",
        "Content-Disposition: form-data; name=file; filename=a.wav",
        *("", ""),
    )
)


class Silent(Heard):
    """A stem of which nothing comes."""

    def is_ready(self) -> bool:
        """Return False."""
        return False


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_RECHECK_SECONDS", FAST_SECONDS)
    monkeypatch.setattr(key_cache, "FRESH_SECONDS", FAST_SECONDS)


@pytest.fixture
async def live(server: Server) -> AsyncIterator[tuple[Gate, str]]:
    """Yield a server on a port, with its address."""
    followers: list[Heard] = server.pools.heard

    def follow(job: object, stem: str, form: object) -> Heard:
        followers.append(Silent(stem))
        return followers[-1]

    server.stems = replace(server.stems, follow=follow)
    async with guarded(server) as gate:
        with serving(gate.app) as address:
            yield gate, address


async def started_job(gate: Gate, headers: dict[str, str], song: bytes) -> str:
    """Start a job that stays running."""
    answer = await gate.client.post(
        "/separate", files={"file": ("song.wav", song)}, headers=headers
    )
    gate.server.store.report(gate.server.claim(), Stage.SEPARATE, 0.5)
    return str(answer.json()["job_id"])


@asynccontextmanager
async def uploading(
    address: str, headers: dict[str, str]
) -> AsyncIterator[asyncio.StreamReader]:
    """Send a song without end; yield where the response arrives."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    lines = {
        "Host": place.netloc,
        "Content-Length": "1000000",
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"POST /separate HTTP/1.1\r\n{head}\r\n{_PART}".encode())

    async def send() -> None:
        while True:
            writer.write(b"\0" * 100)
            await writer.drain()
            await asyncio.sleep(0.02)

    sending = asyncio.create_task(send())
    try:
        yield reader
    finally:
        sending.cancel()
        writer.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  the server is another thread
            await asyncio.sleep(0.01)


def uploads(gate: Gate) -> list[Path]:
    """Return the directories of uploads that are being received."""
    return list(gate.server.working_dir.iterdir())


async def until_refused(gate: Gate, headers: dict[str, str]) -> None:
    while (answer := await gate.client.get("/jobs", headers=headers)).is_success:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert answer.status_code == 401


def is_idle(gate: Gate) -> bool:
    """Whether no request holds a place, and none waits for a job."""
    state = gate.app.state
    return not state.waiting._held.total() and not state.stems_watch._waiting


def test_five_seconds_suffice_for_a_cached_key_and_the_next_check() -> None:
    assert sum(REAL_SECONDS) < PROMISED_SECONDS


async def test_an_upload_ends_with_401_and_leaves_nothing(
    live: tuple[Gate, str],
) -> None:
    gate, address = live
    key, headers = gate.key()
    async with uploading(address, headers) as reader:
        await until(lambda: uploads(gate))
        gate.keys.revoke(key.id)
        async with asyncio.timeout(PROMISED_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert uploads(gate) == gate.server.left_behind() == []
    assert gate.server.store.listed("acme", 10) == []


async def test_an_upload_with_a_valid_key_goes_on(live: tuple[Gate, str]) -> None:
    gate, address = live
    _, headers = gate.key()
    other, _ = gate.key()
    async with uploading(address, headers) as reader:
        await until(lambda: uploads(gate))
        gate.keys.revoke(other.id)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10 * FAST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
    await until(lambda: not uploads(gate))


@pytest.mark.parametrize("path", ["events", "stems/drums?follow=true"])
async def test_a_stream_is_cut_off(
    live: tuple[Gate, str], song: bytes, path: str
) -> None:
    gate, address = live
    key, headers = gate.key()
    job_id = await started_job(gate, headers, song)
    client = httpx.AsyncClient(base_url=address, headers=headers)
    async with client, client.stream("GET", f"/job/{job_id}/{path}") as answer:
        assert answer.status_code == 200
        gate.keys.revoke(key.id)
        began = monotonic()
        # Cut off, and not ended: a client must not take it for the whole.
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in answer.aiter_raw():
                pass
    assert monotonic() - began < PROMISED_SECONDS
    await until(lambda: is_idle(gate))
    assert all(follower.is_stopped for follower in gate.server.pools.heard)


async def test_a_wait_ends_with_401(live: tuple[Gate, str], song: bytes) -> None:
    gate, address = live
    key, headers = gate.key()
    job_id = await started_job(gate, headers, song)
    async with httpx.AsyncClient(base_url=address, headers=headers) as client:
        waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
        await until(lambda: not is_idle(gate))
        gate.keys.revoke(key.id)
        answer = await asyncio.wait_for(waiting, PROMISED_SECONDS)
    assert answer.status_code == 401
    assert "revoked while the request ran" in answer.json()["detail"]
    assert is_idle(gate)


async def test_a_wait_outlasts_a_database_that_is_down(
    live: tuple[Gate, str], song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is back: a key that can't be checked is not yet a revoked one."""
    gate, address = live
    _, headers = gate.key()
    job_id = await started_job(gate, headers, song)
    asked: list[str] = []

    def fail(key_id: str) -> None:
        asked.append(key_id)
        raise DatabaseUnavailable("It is down.")

    async with httpx.AsyncClient(base_url=address, headers=headers) as client:
        waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=1"))
        await until(lambda: not is_idle(gate))
        monkeypatch.setattr(gate.keys, "find", fail)
        answer = await asyncio.wait_for(waiting, 10)
    assert asked
    assert answer.status_code == 200


async def test_every_api_refuses_a_revoked_key(server: Server) -> None:
    async with guarded(server) as one, guarded(server) as two:
        key, headers = one.key()
        _, other = one.key()
        for gate in (one, two):
            assert (await gate.client.get("/jobs", headers=headers)).status_code == 200
        one.keys.revoke(key.id)
        async with asyncio.timeout(PROMISED_SECONDS):
            for gate in (one, two):
                await until_refused(gate, headers)
        for gate in (one, two):
            assert (await gate.client.get("/jobs", headers=other)).status_code == 200
