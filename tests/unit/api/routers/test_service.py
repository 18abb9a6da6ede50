import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from serve_app.api.routers import service

from serve_app.errors import StorageUnavailable, Unavailable
from serve_app.separation.licences import BY_MODEL
from serve_app.storage.disk_reserve import DiskReserve
from tests.unit.api.conftest import LIMITS, MODELS, Server

pytestmark = pytest.mark.anyio


class Untouchable:
    """Fails whoever looks at it."""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"{name} was touched")


async def test_the_process_answers_without_its_services(server: Server) -> None:
    away = {"jobs": Untouchable(), "storage": Untouchable(), "health": None}
    async with server.with_services(**away) as client:
        for path in ("/livez", "/ping"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_the_configuration_is_what_clients_need(server: Server) -> None:
    config = (await server.client.get("/config")).json()
    assert config["hf_space_url"] == ""
    assert config["max_upload_bytes"] == LIMITS.max_upload_bytes
    assert config["formats"][0] == "wav"
    assert config["max_file_size_mb"] == LIMITS.max_upload_bytes / 1024**2
    assert {"mp3", "wav", "flac", "m4a"} <= set(config["supported_formats"])
    async with server.with_services(public_url="https://space.example") as client:
        config = (await client.get("/config")).json()
    assert config["hf_space_url"] == "https://space.example"


async def test_the_root_says_what_is_served(server: Server) -> None:
    answer = await server.client.get("/")
    assert answer.status_code == 200
    root = answer.json()
    assert root["name"] == "stemserve"
    assert root["version"] == server.app.version
    for link in (root["docs"], root["health"]):
        assert (await server.client.get(link)).status_code == 200
    head = await server.client.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["ping", "livez", "config", "models", "health"])
async def test_probes_may_ask_by_head(server: Server, path: str) -> None:
    answer, head = [
        await ask(f"/{path}") for ask in (server.client.get, server.client.head)
    ]
    assert (head.status_code, head.content) == (answer.status_code, b"")


async def test_deleted_jobs_are_not_counted(server: Server, song: bytes) -> None:
    for _ in range(2):
        await server.separate(song)
    deleted = await server.separate(song)
    await server.client.delete(f"/job/{deleted}")
    server.succeed({"drums": b"RIFF"})
    report = (await server.client.get("/health")).json()
    assert report["jobs_count"] == 2


async def test_the_models_are_listed(server: Server) -> None:
    listed = (await server.client.get("/models")).json()
    assert listed["count"] == len(MODELS)
    assert [model["name"] for model in listed["models"]] == ["demo", "duo"]
    assert [model["default"] for model in listed["models"]] == [True, False]
    assert listed["models"][0]["trained_on"] == "synthetic music"


async def test_models_are_listed_with_their_licences_unless_they_are_refused(
    server: Server,
) -> None:
    demo = replace(MODELS[0], licences=BY_MODEL["demo"])
    duo = replace(MODELS[1], refusal="Its licence is not allowed.")
    async with server.with_services(models=(demo, duo)) as client:
        listed = (await client.get("/models")).json()
    assert [model["name"] for model in listed["models"]] == ["demo"]
    assert listed["models"][0]["licences"] == asdict(BY_MODEL["demo"])


async def health(server: Server, **changes: Any) -> tuple[int, Mapping[str, Any]]:
    async with server.with_services(**changes) as client:
        answer = await client.get("/health")
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


async def test_a_healthy_server_says_what_is_loaded(
    server: Server, song: bytes
) -> None:
    server.pools.report = {"ready": True, "model": "demo", "device": "cpu", "songs": 2}
    await server.separate(song)
    assert await health(server) == (
        200,
        {
            "status": "ok",
            "timestamp": "2026-11-20T12:00:00Z",
            "ready": True,
            "model": "demo",
            "device": "cpu",
            "songs": 2,
            "jobs_count": 1,
            "queue": {"queued": 1, "running": 0, "max_queued": LIMITS.max_queued_jobs},
            "storage": {"ok": True},
        },
    )


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"ready": False, "reason": "Weights are missing."}, "Weights are missing."),
        ({"ready": False}, "loaded"),
        ({}, "loaded"),
        (Unavailable("No separator."), "No separator."),
        (RuntimeError("secret"), "RuntimeError"),
    ],
)
async def test_a_server_that_is_not_ready_says_why(
    server: Server, report: Any, reason: str
) -> None:
    server.pools.report = report
    status, body = await health(server)
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
    status, body = await health(server)
    assert status == 503
    assert body["storage"] == {"ok": False}
    assert body["reason"] == "The bucket is away. The bucket is away."
    assert "queue" not in body
    assert "jobs_count" not in body
    assert body["timestamp"] == "2026-11-20T12:00:00Z"


async def test_a_pool_that_hangs_does_not_hang_the_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HEALTH_TIMEOUT_SECONDS", 0.05)

    async def hang() -> Mapping[str, Any]:
        await asyncio.sleep(60)
        return {}

    status, body = await health(server, health=hang)
    assert status == 503
    assert "TimeoutError" in body["reason"]


async def test_a_full_queue_is_degraded_but_ready(server: Server, song: bytes) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        await server.separate(song)
    status, body = await health(server)
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
    status, body = await health(server)
    assert (status, body["status"]) == (200, "degraded")
    assert body["reason"] == "The analyzer is starting."


async def test_a_disk_that_is_nearly_full_is_told_before_it_is(
    server: Server, tmp_path: Path, song: bytes
) -> None:
    await server.separate(song)
    reserve = DiskReserve({"working_files": tmp_path}, 1)
    _, body = await health(server, reserve=reserve)
    free_bytes = body["disk"].pop("free_bytes")
    needed = server.store.disk_bytes()
    assert body["disk"] == {"ok": True, "reserve_bytes": 1, "jobs_bytes": needed}
    assert needed > 0
    assert free_bytes["working_files"] > 0
    status, body = await health(server, reserve=replace(reserve, reserve_bytes=2**60))
    assert (status, body["status"], body["ready"]) == (200, "degraded", True)
    assert not body["disk"]["ok"]
    assert "working_files" in body["reason"]
