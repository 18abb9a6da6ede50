"""Keys are created, listed, rotated and revoked over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from serve_app.access import wire
from serve_app.api import problems
from tests.unit.access.gate import ADMIN_KEY, Gate, bearer
from tests.unit.server import assert_problem

pytestmark = pytest.mark.anyio

ADMIN = bearer(ADMIN_KEY)


async def made(gate: Gate, **given: Any) -> dict[str, Any]:
    answer = await gate.client.post(
        "/keys", json={"name": "app", **given}, headers=ADMIN
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    # Keys are listed by age.
    gate.server.clock.move(1)
    body: dict[str, Any] = answer.json()
    return body


async def works(gate: Gate, text: str) -> bool:
    answer = await gate.client.get("/whoami", headers=bearer(text))
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


async def test_a_key_that_was_created_works(gate: Gate) -> None:
    key = await made(gate, tenant="acme", scopes=["stems:*"])
    answer = await gate.client.get("/whoami", headers=bearer(key["key"]))
    assert answer.json() == {
        "tenant": "acme",
        "credential": f"key:{key['id']}",
        "scopes": ["stems:read", "stems:write"],
    }


async def test_a_list_has_all_keys_and_no_secret(gate: Gate) -> None:
    keys = [await made(gate, name=name) for name in ("one", "two")]
    answer = await gate.client.get("/keys", headers=ADMIN)
    assert [key["name"] for key in answer.json()["keys"]] == ["one", "two"]
    assert answer.json()["count"] == 2
    assert answer.headers["cache-control"] == "no-store"
    for key in keys:
        assert key["key"] not in answer.text
    assert "digest" not in answer.text


async def test_a_rotated_key_and_its_successor_overlap(gate: Gate) -> None:
    old = await made(gate, scopes=["stems:read"], quotas={"jobs_queued": 2})
    answer = await gate.client.post(
        f"/keys/{old['id']}/rotate", json={"overlap_seconds": 60}, headers=ADMIN
    )
    new = answer.json()
    assert answer.status_code == 201
    assert new["replaces"] == old["id"]
    for same in ("name", "tenant", "scopes", "quotas"):
        assert new[same] == old[same]
    assert await works(gate, old["key"])
    assert await works(gate, new["key"])
    gate.server.clock.move(60)
    gate.cache._found.clear()
    assert not await works(gate, old["key"])
    assert await works(gate, new["key"])


@pytest.mark.parametrize("expires_at", [None, "2027-01-01T00:00:00Z"])
async def test_a_key_that_is_rotated_again_has_the_first_one_s_end(
    gate: Gate, expires_at: str | None
) -> None:
    """As when the new key was lost before anyone stored it."""
    old = await made(gate, expires_at=expires_at)
    rotate = f"/keys/{old['id']}/rotate"
    new = (await gate.client.post(rotate, headers=ADMIN)).json()
    await gate.client.post(f"/keys/{new['id']}/rotate", headers=ADMIN)
    gate.server.clock.move(60)
    again = await gate.client.post(rotate, headers=ADMIN)
    assert again.status_code == 201
    assert again.json().get("expires_at") == expires_at


async def test_without_a_body_the_old_key_stays_for_a_day(gate: Gate) -> None:
    old = await made(gate)
    await gate.client.post(f"/keys/{old['id']}/rotate", headers=ADMIN)
    (found, _) = gate.keys.listed()
    assert found.expires_at == gate.server.clock.now + timedelta(days=1)


async def test_a_revoked_key_is_refused(gate: Gate) -> None:
    key = await made(gate)
    answer = await gate.client.delete(f"/keys/{key['id']}", headers=ADMIN)
    assert answer.json()["state"] == "revoked"
    gate.cache._found.clear()
    assert not await works(gate, key["key"])
    # Again is no error: the key is as revoked as it was.
    again = await gate.client.delete(f"/keys/{key['id']}", headers=ADMIN)
    assert again.status_code == 200
    assert again.json()["revoked_at"] == answer.json()["revoked_at"]
    rotate = f"/keys/{key['id']}/rotate"
    assert_problem(await gate.client.post(rotate, headers=ADMIN), 404, "key_not_found")


async def test_an_unknown_key_is_said_to_be_unknown(gate: Gate) -> None:
    for method, path in (("DELETE", "/keys/x"), ("POST", "/keys/x/rotate")):
        answer = await gate.client.request(method, path, headers=ADMIN)
        assert "GET /keys" in assert_problem(answer, 404, "key_not_found")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "name"),
        ({"name": "app", "scopes": ["everything"]}, "is not a scope"),
        ({"name": "app", "scopes": ["sterns:read"]}, "stems"),
        ({"name": "app", "scopes": []}, "At least one scope"),
        ({"name": "app", "expires_at": "2020-01-01T00:00:00Z"}, "in the future"),
        ({"name": "app", "expires_at": "9999-12-31T23:59:59-12:00"}, "year 10000"),
        ({"name": "app", "quotas": {"jobs_queued": 0}}, "jobs_queued"),
        ({"name": "app", "colour": "red"}, "colour"),
    ],
)
async def test_invalid_properties_are_explained(
    gate: Gate, given: dict[str, Any], said: str
) -> None:
    answer = await gate.client.post("/keys", json=given, headers=ADMIN)
    assert said in assert_problem(answer, 422, "invalid_input")
    assert gate.keys.listed() == []


async def test_an_endless_quota_is_refused(gate: Gate) -> None:
    body = b'{"name": "app", "quotas": {"audio_minutes_per_day": 1e400}}'
    headers = {**ADMIN, "Content-Type": "application/json"}
    answer = await gate.client.post("/keys", content=body, headers=headers)
    assert "audio_minutes_per_day" in assert_problem(answer, 422, "invalid_input")


async def test_nobody_reads_their_key_in_what_they_may_do(gate: Gate) -> None:
    key = await made(gate)
    answer = await gate.client.get("/whoami", headers=bearer(key["key"]))
    assert key["key"] not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_the_routes_are_described_with_their_examples(gate: Gate) -> None:
    description = (await gate.client.get("/openapi.json")).json()
    for path, methods in description["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert problems.MEDIA_TYPE in operation["responses"]["default"]["content"]
    for name in ("KeyView", "CreatedKey"):
        example = description["components"]["schemas"][name]["example"]
        state = {"state": "valid", "quotas": {}}
        getattr(wire, name).model_validate({**state, **example})
