"""What was sent to the webhooks of a job, and what is sent again."""

from datetime import timedelta

import pytest

from serve_app.errors import Unavailable
from serve_app.webhooks.delivery import Attempt, Delivery
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


async def test_a_delivery_is_listed_with_its_attempts(
    server: Server, song: bytes
) -> None:
    job_id = await server.separate(song, webhook_url=URL)
    answer = await server.client.get(f"/job/{job_id}/deliveries")
    assert answer.json() == {"count": 0, "deliveries": []}
    server.succeed({"drums": b"RIFF"})
    delivery = claimed(server)
    now = server.clock()
    refused = Attempt(now, 0.25, status=500)
    server.outbox.failed(delivery, refused, now + timedelta(seconds=5))
    answer = await server.client.get(f"/job/{job_id}/deliveries")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "count": 1,
        "deliveries": [
            {
                "delivery_id": delivery.id,
                "event": "job.completed",
                "host": "example.com",
                "state": "pending",
                "attempts": 1,
                "created_at": "2026-11-20T12:00:00Z",
                "next_attempt_at": "2026-11-20T12:00:05Z",
                "log": [{"at": "2026-11-20T12:00:00Z", "seconds": 0.25, "status": 500}],
            }
        ],
    }


async def test_a_delivery_can_be_sent_again(server: Server, song: bytes) -> None:
    job_id = await ended(server, song)
    delivery = claimed(server)
    server.outbox.delivered(delivery, Attempt(server.clock(), 0.1, status=200))
    place = f"/job/{job_id}/deliveries/{delivery.id}/replay"
    answer = await server.client.post(place)
    assert answer.status_code == 202
    assert answer.json()["delivery_id"] == delivery.id
    assert answer.json()["state"] == "pending"
    assert len(answer.json()["log"]) == 1
    assert claimed(server).id == delivery.id


async def test_deliveries_of_no_job_or_no_delivery_are_not_found(
    server: Server, song: bytes
) -> None:
    nobody = "/job/" + "0" * 32
    for place in (f"{nobody}/deliveries", "/job/..%2F/deliveries"):
        answer = await server.client.get(place)
        assert answer.status_code == 404
    answer = await server.client.post(f"{nobody}/deliveries/msg_1/replay")
    assert_problem(answer, 404, "job_not_found")
    job_id = await ended(server, song)
    answer = await server.client.post(f"/job/{job_id}/deliveries/msg_1/replay")
    assert "lists them" in assert_problem(answer, 404, "delivery_not_found")


class Away:
    def of_job(self, job_id: str) -> list[Delivery]:
        raise Unavailable("The job database does not answer; try again in a moment.")


async def test_a_database_that_is_away_is_told(server: Server, song: bytes) -> None:
    job_id = await ended(server, song)
    async with server.with_services(deliveries=Away()) as client:
        answer = await client.get(f"/job/{job_id}/deliveries")
    assert_problem(answer, 503, "unavailable")


async def test_a_message_is_replayed_once_under_its_key(
    server: Server, song: bytes
) -> None:
    job_id = await ended(server, song)
    sent = claimed(server)
    server.outbox.delivered(sent, Attempt(server.clock(), 0.1, status=204))
    place = f"/job/{job_id}/deliveries/{sent.id}/replay"
    key = {"Idempotency-Key": "again"}
    first = await server.client.post(place, headers=key)
    server.outbox.delivered(claimed(server), Attempt(server.clock(), 0.1, status=204))
    again = await server.client.post(place, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert server.outbox.claim(60) is None
