"""The HTTP contract as its oldest clients rely on it: statuses, names, types, nulls."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from serve_app.errors import Unavailable
from serve_app.stems.request import Stage
from tests.unit.server import LIMITS, ORIGIN, Server

pytestmark = pytest.mark.anyio

STEMS = {name: b"RIFF" + name.encode() for name in ("drums", "bass", "other", "vocals")}
PUBLIC_URL = "https://stems.example/songs"
# As browsers send it; other clients leave out what is theirs alone.
BROWSER = {"Origin": ORIGIN, "Referer": f"{ORIGIN}/", "Sec-Fetch-Mode": "cors"}


async def called(server: Server, method: str, path: str, **more: Any) -> httpx.Response:
    """Make a call as a script of another origin; each answer must be readable to it."""
    answer = await server.client.request(method, path, headers=BROWSER, **more)
    assert answer.headers["access-control-allow-origin"] in ("*", ORIGIN)
    return answer


async def separated(server: Server, song: bytes) -> dict[str, Any]:
    answer = await called(server, "POST", "/separate", files={"file": ("a.wav", song)})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def job(server: Server, job_id: str) -> dict[str, Any]:
    answer = await called(server, "GET", f"/job/{job_id}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def assert_utc(text: str) -> None:
    """Check that it is a time of ISO 8601 in UTC, which JavaScript's Date reads."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text), text
    assert datetime.fromisoformat(text).utcoffset() == timedelta(0)


async def test_ping(server: Server) -> None:
    assert (await called(server, "GET", "/ping")).status_code == 200


async def test_config(server: Server) -> None:
    config = (await called(server, "GET", "/config")).json()
    assert config["hf_space_url"] == ""
    assert isinstance(config["max_file_size_mb"], int | float)
    assert config["max_file_size_mb"] * 1024**2 == LIMITS.max_upload_bytes
    assert isinstance(config["supported_formats"], list)
    assert {"mp3", "wav"} <= set(config["supported_formats"])
    async with server.with_services(public_url=PUBLIC_URL) as client:
        assert (await client.get("/config")).json()["hf_space_url"] == PUBLIC_URL


async def test_health(server: Server, song: bytes) -> None:
    await separated(server, song)
    answer = await called(server, "GET", "/health")
    health = answer.json()
    assert answer.status_code == 200
    assert (health["status"], health["jobs_count"]) == ("ok", 1)
    assert_utc(health["timestamp"])
    assert {"model", "device", "queue", "storage"} <= set(health)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_root(server: Server, method: str) -> None:
    answer = await called(server, method, "/")
    assert answer.status_code == 200
    assert bool(answer.content) is (method == "GET")


async def test_analyze(server: Server, song: bytes) -> None:
    answer = await called(
        server,
        "POST",
        "/analyze",
        files={"file": ("a.wav", song)},
        data={"extra": "ignored"},
    )
    assert answer.status_code == 200
    found = answer.json()
    assert found["success"] is True
    assert found["filename"] == "a.wav"
    assert found["size_bytes"] == len(song)
    assert type(found["bpm"]) is float
    assert re.fullmatch(r"[A-G]#? (major|minor)", found["key"])
    assert (found["duration"], found["sample_rate"]) == (1.0, 44_100)


async def test_separate(server: Server, song: bytes) -> None:
    answer = await called(
        server,
        "POST",
        "/separate",
        files={"file": ("a.wav", song)},
        data={"quality": "high"},
    )
    assert answer.status_code == 200
    accepted = answer.json()
    assert accepted["success"] is True
    assert re.fullmatch(r"[0-9a-f]{32}", accepted["job_id"])
    assert accepted["status"] == "pending"
    assert isinstance(accepted["message"], str)
    assert accepted["hf_space_url"] == ""


async def test_a_known_song_is_accepted_like_any_other(
    server: Server, song: bytes
) -> None:
    first = await separated(server, song)
    server.succeed(STEMS)
    again = await separated(server, song)
    assert set(first) | {"cache"} == set(again)
    assert again["status"] == "pending"
    assert (await job(server, again["job_id"]))["status"] == "completed"


async def test_job(server: Server, song: bytes) -> None:
    accepted = await separated(server, song)
    job_id = accepted["job_id"]
    waiting = await job(server, job_id)
    server.store.report(server.claim(), Stage.SEPARATE, 0.25)
    running = await job(server, job_id)
    assert (waiting["status"], running["status"]) == ("pending", "processing")
    assert (waiting["progress"], running["progress"]) == (0, 25)
    for found in (waiting, running):
        assert (found["job_id"], found["filename"]) == (job_id, "a.wav")
        assert_utc(found["created_at"])
        assert_utc(found["updated_at"])
        # Clients take what is there for what it says, null too.
        assert {"stems", "error", "hf_space_url"}.isdisjoint(found)
        assert None not in found.values()


@pytest.mark.parametrize("public_url", ["", PUBLIC_URL])
async def test_completed_job(server: Server, song: bytes, public_url: str) -> None:
    job_id = (await separated(server, song))["job_id"]
    server.succeed(STEMS)
    async with server.with_services(public_url=public_url) as client:
        found = (await client.get(f"/job/{job_id}")).json()
    assert (found["status"], found["progress"]) == ("completed", 100)
    assert found.get("hf_space_url", "") == public_url
    assert "error" not in found
    assert set(found["stems"]) == set(STEMS)
    for name, stem in found["stems"].items():
        url = f"{public_url or 'http://server'}/job/{job_id}/stems/{name}"
        assert stem["download_url"] == url
        assert (stem["filename"], stem["size"]) == (
            f"song_{name}.wav",
            len(STEMS[name]),
        )
        got = await called(server, "GET", f"/job/{job_id}/stems/{name}")
        assert (got.status_code, got.content) == (200, STEMS[name])
        assert got.headers["content-type"] == "audio/wav"


async def test_failed_job(server: Server, song: bytes) -> None:
    job_id = (await separated(server, song))["job_id"]
    server.store.fail(server.claim(), "code", "It is damaged.")
    found = await job(server, job_id)
    assert (found["status"], found["error"]) == ("failed", "It is damaged.")
    assert "stems" not in found


async def test_delete(server: Server, song: bytes) -> None:
    job_id = (await separated(server, song))["job_id"]
    answer = await called(server, "DELETE", f"/job/{job_id}")
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": answer.json()["message"]}
    assert answer.json()["message"]
    for method in ("GET", "DELETE"):
        assert (await called(server, method, f"/job/{job_id}")).status_code == 404


async def test_jobs(server: Server, song: bytes) -> None:
    assert (await called(server, "GET", "/jobs")).json() == {"count": 0, "jobs": []}
    job_id = (await separated(server, song))["job_id"]
    listed = (await called(server, "GET", "/jobs")).json()
    assert (listed["count"], len(listed["jobs"])) == (1, 1)
    (line,) = listed["jobs"]
    assert (line["job_id"], line["status"]) == (job_id, "pending")
    assert line["filename"] == "a.wav"
    assert_utc(line["created_at"])


async def test_preflights_may_be_kept_for_a_day(server: Server) -> None:
    for method, path in (("POST", "/separate"), ("DELETE", "/job/1"), ("GET", "/x")):
        answer = await server.client.options(
            path,
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "content-type,x-anything",
            },
        )
        assert answer.status_code == 200
        assert answer.headers["access-control-max-age"] == "86400"


def _fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("unforeseen")


def _away(*_: Any, **__: Any) -> None:
    raise Unavailable("The database is away.")


LARGE = {"files": {"file": ("a.wav", bytes(LIMITS.max_upload_bytes + 1))}}
ERRORS: list[tuple[str, str, int, dict[str, Any], Callable[..., None] | None]] = [
    ("GET", "/nowhere", 404, {}, None),
    ("GET", f"/job/{'0' * 32}", 404, {}, None),
    ("GET", f"/job/{'0' * 32}/stems/drums", 404, {}, None),
    ("PUT", "/separate", 405, {}, None),
    ("POST", "/job/1", 405, {}, None),
    ("POST", "/separate", 413, LARGE, None),
    ("POST", "/analyze", 413, LARGE, None),
    ("POST", "/separate", 422, {"files": {"file": ("a.mp3", b"text")}}, None),
    ("POST", "/separate", 400, {"content": b"text"}, None),
    ("GET", "/jobs?limit=x", 422, {}, None),
    ("GET", "/jobs", 500, {}, _fail),
    ("GET", "/jobs", 503, {}, _away),
]


@pytest.mark.parametrize(("method", "path", "status", "more", "failure"), ERRORS)
@pytest.mark.parametrize("headers", [BROWSER, {}])
async def test_errors_can_be_read_from_any_origin(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    method: str,
    path: str,
    status: int,
    more: dict[str, Any],
    failure: Callable[..., None] | None,
) -> None:
    """Also what a browser keeps of a request that came without an origin."""
    if failure is not None:
        monkeypatch.setattr(server.store, "listed", failure)
    answer = await server.client.request(method, path, headers=headers, **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    assert isinstance(answer.json()["detail"], str)
