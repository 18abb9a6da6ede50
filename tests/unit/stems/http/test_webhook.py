"""Webhooks that a request asks for."""

import json

import pytest

from serve_app.webhooks.delivery import Delivery
from serve_app.webhooks.message import rendered
from serve_app.webhooks.target import Webhook, WebhookEvent
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

BASE = "https://stems.example/songs"
URL = "https://example.com/Hook,1?token=Secret"


async def ended(server: Server, song: bytes) -> str:
    """Hand in a song with a webhook, and separate it; return its job's id."""
    job_id = await server.separate(song, webhook_url=URL)
    server.succeed({"drums": b"RIFF"})
    return job_id


def claimed(server: Server) -> Delivery:
    delivery = server.outbox.claim(60)
    assert delivery is not None
    return delivery


@pytest.mark.parametrize(
    ("names", "events"),
    [
        ("", tuple(WebhookEvent)),
        ("job.failed", (WebhookEvent.FAILED,)),
        (
            "Job.Cancelled, job.completed",
            (WebhookEvent.COMPLETED, WebhookEvent.CANCELLED),
        ),
    ],
)
async def test_a_webhook_is_kept_as_it_was_given(
    server: Server, song: bytes, names: str, events: tuple[WebhookEvent, ...]
) -> None:
    job_id = await server.separate(song, webhook_url=f" {URL} ", webhook_events=names)
    assert server.store.get(job_id).request.webhook == Webhook(URL, events)
    answer = await server.client.get(f"/job/{job_id}")
    assert "Secret" not in answer.text


async def test_no_webhook_is_the_default(server: Server, song: bytes) -> None:
    job_id = await server.separate(song, webhook_url="", webhook_events=" ")
    assert server.store.get(job_id).request.webhook is None


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"webhook_url": "http://example.com/"}, "webhook_url", "https://"),
        ({"webhook_url": "https://127.0.0.1/"}, "webhook_url", "public address"),
        ({"webhook_url": "https://169.254.169.254/"}, "webhook_url", "public address"),
        ({"webhook_url": "https://localhost/"}, "webhook_url", "full domain name"),
        (
            {"webhook_url": "https://example.com:22/"},
            "webhook_url",
            "port must be 443, got 22",
        ),
        (
            {"webhook_url": [URL, f"{URL}2"]},
            "webhook_url",
            '"webhook_url" must be one value, got 2.',
        ),
        (
            {"webhook_url": URL, "webhook_events": "job.begun"},
            "webhook_events",
            "job.completed, job.failed, job.cancelled",
        ),
        (
            {"webhook_events": "job.failed"},
            "webhook_events",
            '"webhook_events" needs a "webhook_url"',
        ),
    ],
)
async def test_a_webhook_that_cannot_be_told_is_refused_with_the_reason(
    server: Server, song: bytes, fields: dict[str, str], field: str, reason: str
) -> None:
    answer = await server.client.post(
        "/separate", files={"file": ("song.wav", song)}, data=fields
    )
    assert reason in assert_problem(answer, 422, "invalid_field")
    assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert server.left_behind() == []


async def test_a_server_without_a_secret_says_what_its_operator_must_do(
    server: Server, song: bytes
) -> None:
    async with server.with_services(check_webhook=None) as client:
        answer = await client.post(
            "/separate",
            files={"file": ("song.wav", song)},
            data={"webhook_url": URL},
        )
    detail = assert_problem(answer, 422, "invalid_field")
    assert "STEMSERVE_WEBHOOK_SECRETS" in detail


async def test_what_is_sent_is_the_job_as_it_is_shown(
    server: Server, song: bytes
) -> None:
    job_id = await ended(server, song)
    message = json.loads(rendered(claimed(server).body, BASE))
    async with server.with_services(public_url=BASE) as client:
        shown = (await client.get(f"/job/{job_id}")).json()
    assert shown["hf_space_url"] == BASE
    assert message == {
        "type": "job.completed",
        "timestamp": shown["updated_at"],
        "data": shown,
    }


async def test_a_cancelled_job_is_told_by_the_api_itself(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song, webhook_url=URL)
    await server.client.delete(f"/job/{job_id}")
    assert claimed(server).event == WebhookEvent.CANCELLED
