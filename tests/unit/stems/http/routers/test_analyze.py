import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.errors import Unavailable
from serve_app.stems.reports import Request
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio


async def test_an_analysis_has_what_its_clients_read(
    server: Server, song: bytes
) -> None:
    answer = await server.client.post("/analyze", files={"file": ("a.wav", song)})
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "filename": "a.wav",
        "size_bytes": len(song),
        "bpm": 124.0,
        "key": "C# minor",
        "camelot": "12A",
        "duration": 1.0,
        "sample_rate": 44_100,
    }


async def test_the_analyzer_finds_the_song_and_nothing_is_kept(
    server: Server, song: bytes
) -> None:
    seen = []

    async def analyze(request: Request) -> dict[str, Any]:
        assert not request.place
        seen.append(b"".join(server.storage.read(request.key)))
        return {"bpm": 100, "key": "A minor"}

    async with server.with_services(
        analyses=SimpleNamespace(analyze_song=analyze)
    ) as client:
        answer = await client.post("/analyze", files={"file": ("a.wav", song)})
    assert answer.status_code == 200
    assert seen == [song]
    assert server.left_behind() == []


async def test_an_analysis_that_fails_says_why_and_keeps_nothing(
    server: Server, song: bytes
) -> None:
    server.pools.analysis = Unavailable("The analyzer is starting. Try again.")
    answer = await server.client.post("/analyze", files={"file": ("a.wav", song)})
    assert "starting" in assert_problem(answer, 503, "unavailable")
    assert server.pools.analyzed[0].startswith("uploads/")
    assert server.left_behind() == []


async def test_an_analysis_that_is_given_up_keeps_nothing(
    server: Server, song: bytes
) -> None:
    started = asyncio.Event()

    async def analyze(request: Request) -> dict[str, Any]:
        started.set()
        await asyncio.sleep(60)
        return {}

    async with server.with_services(
        analyses=SimpleNamespace(analyze_song=analyze)
    ) as client:
        request = client.post("/analyze", files={"file": ("a.wav", song)})
        task = asyncio.ensure_future(request)
        await asyncio.wait_for(started.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert server.left_behind() == []


async def test_what_else_is_in_the_form_is_ignored(server: Server, song: bytes) -> None:
    answer = await server.client.post(
        "/analyze",
        files={"file": ("a.wav", song), "cover": ("a.png", b"PNG" * 50_000)},
        data={"model": "demo", "session": "7"},
    )
    assert answer.status_code == 200, answer.text
    assert sorted(answer.json()["ignored_fields"]) == ["cover", "model", "session"]
    assert server.left_behind() == []
