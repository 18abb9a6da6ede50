"""The health of stems in `/health` and `/readyz`."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serve_app.api import health
from serve_app.api.app import create_app
from serve_app.api.part import ApiPart
from serve_app.errors import StorageUnavailable, Unavailable
from serve_app.stems.http.part import part as stems_part
from serve_app.storage.disk_reserve import DiskReserve
from tests.unit.server import LIMITS, Server, connect

pytestmark = pytest.mark.anyio


async def test_deleted_jobs_are_not_counted(server: Server, song: bytes) -> None:
    for _ in range(2):
        await server.separate(song)
    deleted = await server.separate(song)
    await server.client.delete(f"/job/{deleted}")
    server.succeed({"drums": b"RIFF"})
    report = (await server.client.get("/health")).json()
    assert report["jobs_count"] == 2


async def told(server: Server, **changes: Any) -> tuple[int, Mapping[str, Any]]:
    """Return the status of `/readyz`, and what `/health` says, always with 200."""
    async with server.with_services(**changes) as client:
        ready, answer = await client.get("/readyz"), await client.get("/health")
    assert answer.status_code == 200
    for each in (ready, answer):
        assert each.headers["content-type"] == "application/json"
    assert ready.json() == answer.json()
    return ready.status_code, answer.json()


async def test_a_healthy_server_says_what_is_loaded(
    server: Server, song: bytes
) -> None:
    server.pools.report = {"ready": True, "model": "demo", "device": "cpu", "songs": 2}
    await server.separate(song)
    assert await told(server) == (
        200,
        {
            "status": "ok",
            "timestamp": "2026-11-20T12:00:00Z",
            "ready": True,
            "access": "open",
            "model": "demo",
            "device": "cpu",
            "songs": 2,
            "jobs_count": 1,
            "queue": {"queued": 1, "running": 0, "max_queued": LIMITS.max_queued_jobs},
            "analysis_queue": {
                "queued": 0,
                "running": 0,
                "max_queued": LIMITS.max_queued_jobs,
            },
            "storage": {"ok": True},
        },
    )


async def test_beside_another_system_old_clients_read_the_jobs_of_songs(
    server: Server, song: bytes
) -> None:
    await server.separate(song)

    async def of_another() -> Mapping[str, Any]:
        return {"ready": True, "jobs_count": 7, "queue": None, "model": "other"}

    parts = [stems_part(server.stems), ApiPart("another", (), health=of_another)]
    async with connect(create_app(server.services, parts)) as client:
        report = (await client.get("/readyz")).json()
    assert (report["jobs_count"], report["queue"]["queued"]) == (1, 1)
    assert report["model"] == "other"


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"ready": False, "reason": "Weights are missing."}, "Weights are missing."),
        ({"ready": False}, "The models are loading."),
        ({}, "The models are loading."),
        (Unavailable("No separator."), "No separator."),
        (RuntimeError("secret"), "RuntimeError"),
    ],
)
async def test_a_server_that_is_not_ready_says_why(
    server: Server, report: Any, reason: str
) -> None:
    server.pools.report = report
    status, body = await told(server)
    assert status == 503
    assert (body["status"], body["ready"]) == ("unavailable", False)
    assert reason in body["reason"]
    assert "secret" not in body["reason"]
    assert body["storage"] == {"ok": True}


async def test_a_store_that_does_not_answer_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StorageUnavailable("The bucket is away.")

    monkeypatch.setattr(server.storage, "stat", away)
    monkeypatch.setattr(server.store, "counts", away)
    status, body = await told(server)
    assert status == 503
    assert body["storage"] == {"ok": False}
    assert body["reason"] == "The bucket is away. The bucket is away."
    assert "queue" not in body
    assert "jobs_count" not in body
    assert body["timestamp"] == "2026-11-20T12:00:00Z"


async def test_a_pool_that_hangs_does_not_hang_the_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.5)

    async def hang() -> Mapping[str, Any]:
        await asyncio.sleep(60)
        return {}

    status, body = await told(server, health=hang)
    assert status == 503
    assert "The pools failed (TimeoutError)" in body["reason"]
    # What else is known is not lost with it.
    assert body["storage"] == {"ok": True}
    assert body["queue"]["max_queued"] == LIMITS.max_queued_jobs


async def test_a_full_queue_is_degraded_but_ready(server: Server, song: bytes) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        await server.separate(song)
    status, body = await told(server)
    assert (status, body["status"], body["ready"]) == (200, "degraded", True)
    assert "full" in body["reason"]


async def test_a_clock_that_is_wrong_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.store, "skew_seconds", lambda: -7.0)
    report = (await server.client.get("/health")).json()
    assert (report["status"], report["ready"]) == ("degraded", True)
    assert "-7 s" in report["reason"]


async def test_a_reported_defect_is_degraded_but_ready(server: Server) -> None:
    server.pools.report = {"ready": True, "reason": "The analyzer is starting."}
    status, body = await told(server)
    assert (status, body["status"]) == (200, "degraded")
    assert body["reason"] == "The analyzer is starting."


async def test_a_disk_that_is_nearly_full_is_told_before_it_is(
    server: Server, tmp_path: Path, song: bytes
) -> None:
    await server.separate(song)
    reserve = DiskReserve({"working_files": tmp_path}, 1)
    _, body = await told(server, reserve=reserve)
    free_bytes = body["disk"].pop("free_bytes")
    needed = server.store.disk_bytes()
    assert body["disk"] == {"ok": True, "reserve_bytes": 1, "jobs_bytes": needed}
    assert needed > 0
    assert free_bytes["working_files"] > 0
    status, body = await told(server, reserve=replace(reserve, reserve_bytes=2**60))
    assert (status, body["status"], body["ready"]) == (200, "degraded", True)
    assert not body["disk"]["ok"]
    assert "working_files" in body["reason"]


async def test_a_full_queue_of_analyses_is_told(server: Server, song: bytes) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        files = {"file": ("a.wav", song)}
        await server.client.post("/analyze?async=true", files=files)
    _, report = await told(server)
    assert report["analysis_queue"]["queued"] == LIMITS.max_queued_jobs
    assert "queue of analyses is full" in report["reason"]


async def test_a_missing_directory_of_files_is_not_ready(server: Server) -> None:
    server.files_dir.rename(server.files_dir.with_name("elsewhere"))
    status, report = await told(server)
    assert (status, report["storage"]) == (503, {"ok": False})
    assert "directory of the file storage is missing" in report["reason"]
