"""Operators, and nobody else, get what runs."""

import pytest

from tests.unit.access.gate import ADMIN_KEY, bearer, guarded
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio


async def test_operators_see_queues_and_failures_without_titles(
    server: Server, song: bytes
) -> None:
    await server.separate(song)
    server.store.fail(server.claim(), "unreadable_audio", "It is damaged.")
    server.clock.move(1.0)
    await server.separate(song, stems="drums")
    async with guarded(server) as gate:
        answer = await gate.client.get("/operations", headers=bearer(ADMIN_KEY))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    (queue,) = [each for each in found["queues"] if each["kind"] == "separation"]
    assert (queue["system"], queue["queued"], queue["running"]) == ("stems", 1, 0)
    (failure,) = found["failures"]
    del failure["at"]
    assert failure == {
        "system": "stems",
        "kind": "separation",
        "reason": "unreadable_audio",
        "detail": "It is damaged.",
    }
    assert "song.wav" not in answer.text


async def test_others_see_nothing(server: Server) -> None:
    async with guarded(server) as gate:
        _, tenant = gate.key()
        refused = await gate.client.get("/operations", headers=tenant)
        assert_problem(refused, 403, "forbidden")
        nobody = await gate.client.get("/operations")
        assert_problem(nobody, 401, "unauthorized")
