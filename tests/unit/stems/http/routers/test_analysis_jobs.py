"""Songs that are analysed as jobs."""

import asyncio
from typing import Any

import pytest

from serve_app.errors import UnreadableAudio
from serve_app.jobs.job import State
from serve_app.stems.analysis_jobs.kind import NAME, song_key
from serve_app.stems.analysis_jobs.request import Stage
from serve_app.webhooks.target import Webhook, WebhookEvent
from tests.unit.server import LIMITS, Server, assert_problem

pytestmark = pytest.mark.anyio

URL = "/analyze?async=true"
HOOK = "https://example.com/hook"


async def accepted(server: Server, song: bytes, **fields: str) -> dict[str, Any]:
    answer = await server.client.post(URL, files={"file": ("a.wav", song)}, data=fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"] == body["status_url"]
    return body


async def test_the_answer_comes_at_once_with_what_to_poll(
    server: Server, song: bytes
) -> None:
    body = await accepted(server, song, mood="happy")
    job_id = body["job_id"]
    assert body == {
        "success": True,
        "job_id": job_id,
        "status": "pending",
        "message": "Analysis started. Poll `status_url` for its result.",
        "filename": "a.wav",
        "size_bytes": len(song),
        "duration": 1.0,
        "sample_rate": 44_100,
        "status_url": f"http://server/analyze/{job_id}",
        "ignored_fields": ["mood"],
    }
    assert server.pools.analyzed == []
    assert server.pools.woken_kinds == [NAME]
    assert b"".join(server.storage.read(song_key(job_id))) == song


async def test_a_job_is_polled_to_what_analyze_answers(
    server: Server, song: bytes
) -> None:
    server.pools.analysis = {"bpm": 124.0, "key": "C# minor", "grid": None}
    direct = await server.client.post("/analyze", files={"file": ("a.wav", song)})
    url = (await accepted(server, song))["status_url"]
    pending = (await server.client.get(url)).json()
    assert (pending["status"], pending["progress"]) == ("pending", 0)
    assert "analysis" not in pending
    assert "error" not in pending
    server.analyze()
    answer = await server.client.get(url)
    done = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert done["expires_at"]
    # Nulls included: clients of the direct answer read them.
    assert done["analysis"] == direct.json()
    assert (await server.client.head(url)).status_code == 200


async def test_progress_and_failure_are_reported(server: Server, song: bytes) -> None:
    url = (await accepted(server, song))["status_url"]
    (job,) = server.analyses.claim("me", lease_seconds=30.0, include_alone=True)
    server.analyses.report(job.claim, Stage.ANALYZE, 0.5)
    running = (await server.client.get(url)).json()
    assert (running["status"], running["progress"]) == ("processing", 50)
    assert running["stage"] == "analyze"
    server.analyses.fail(job.claim, UnreadableAudio.code, "The song is broken.")
    failed = (await server.client.get(url)).json()
    assert (failed["status"], failed["error"]) == ("failed", "The song is broken.")
    assert failed["error_code"] == "unreadable_audio"


async def test_who_waits_is_answered_when_the_job_is_over(
    server: Server, song: bytes
) -> None:
    url = (await accepted(server, song))["status_url"]
    waiting = asyncio.ensure_future(server.client.get(f"{url}?wait=30"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await asyncio.to_thread(server.analyze)
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.json()["status"] == "completed"


async def test_range_and_webhook_are_kept_with_the_job(
    server: Server, song: bytes
) -> None:
    body = await accepted(
        server, song, bpm_range="88-175", webhook_url=HOOK, webhook_events="job.failed"
    )
    request = server.analyses.get(body["job_id"]).request
    assert request.bpm_range == (88.0, 175.0)
    assert request.webhook == Webhook(HOOK, (WebhookEvent.FAILED,))
    assert "ignored_fields" not in body


async def test_the_same_request_makes_one_job(server: Server, song: bytes) -> None:
    ids = set()
    for _ in range(2):
        answer = await server.client.post(
            URL,
            files={"file": ("a.wav", song)},
            headers={"Idempotency-Key": "one"},
        )
        ids.add(answer.json()["job_id"])
        assert answer.json()["status_url"] == f"http://server/analyze/{min(ids)}"
    assert len(ids) == 1
    assert answer.headers["idempotent-replayed"] == "true"
    assert len(server.left_behind()) == 1
    other = await server.client.post(
        URL,
        files={"file": ("b.wav", song)},
        headers={"Idempotency-Key": "one"},
    )
    assert_problem(other, 422, "idempotency_key_reused")


async def test_a_deleted_job_is_gone_with_its_song(server: Server, song: bytes) -> None:
    url = (await accepted(server, song))["status_url"]
    answer = await server.client.delete(url)
    assert answer.status_code == 200
    assert server.left_behind() == []
    assert server.pools.stopped
    for method in ("GET", "DELETE"):
        again = await server.client.request(method, url)
        detail = assert_problem(again, 404, "job_not_found")
        assert "send it again" in detail


async def test_a_full_queue_of_analyses_is_told_before_the_upload(
    server: Server, song: bytes
) -> None:
    for _ in range(LIMITS.max_queued_jobs):
        await accepted(server, song)
    full = await server.client.post(URL, files={"file": ("a.wav", song)})
    assert_problem(full, 429, "queue_full")
    assert int(full.headers["retry-after"]) > 0
    # Songs to separate have a queue of their own.
    await server.separate(song)


async def test_what_is_no_song_makes_no_job(server: Server) -> None:
    answer = await server.client.post(URL, files={"file": ("a.wav", b"no song")})
    assert_problem(answer, 422, "unreadable_audio")
    assert server.left_behind() == []
    assert server.analyses.counts().get(State.QUEUED, 0) == 0


async def test_async_is_true_or_false(server: Server, song: bytes) -> None:
    files = {"file": ("a.wav", song)}
    answer = await server.client.post("/analyze?async=maybe", files=files)
    assert "async" in assert_problem(answer, 422, "invalid_input")
    answer = await server.client.post("/analyze?async=false", files=files)
    assert answer.json()["bpm"] == 124.0


async def test_a_webhook_without_a_job_is_named_as_ignored(
    server: Server, song: bytes
) -> None:
    answer = await server.client.post(
        "/analyze",
        files={"file": ("a.wav", song)},
        data={"webhook_url": HOOK, "webhook_events": ""},
    )
    assert answer.json()["ignored_fields"] == ["webhook_url"]


async def test_jobs_of_the_two_kinds_are_not_each_other_s(
    server: Server, song: bytes
) -> None:
    analysis = (await accepted(server, song))["job_id"]
    separation = await server.separate(song)
    for url in (f"/job/{analysis}", f"/analyze/{separation}"):
        assert (await server.client.get(url)).status_code == 404
    listed = (await server.client.get("/jobs")).json()["jobs"]
    assert [job["job_id"] for job in listed] == [separation]
