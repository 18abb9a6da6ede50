"""Which requests come in, and for whom."""

import logging

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serve_app.access.http.door import AccessPolicy
from serve_app.access.keys import NewKey
from serve_app.api.door import CheckedDoor, OpenDoor
from serve_app.api.request_id import HEADER as REQUEST_ID
from serve_app.api.route_rules import RouteRules
from serve_app.errors import DatabaseUnavailable
from serve_app.usage.quotas import Quotas
from tests.unit.access.gate import (
    ADMIN_KEY,
    Gate,
    bearer,
    guarded,
    open_systems,
    statuses,
)
from tests.unit.server import Server, assert_problem, connect, refuse_to_read

pytestmark = pytest.mark.anyio

HEADER = "X-Tenant"
UNDECIDED = AccessPolicy()
GATEWAY = AccessPolicy(True, tenant_header=HEADER)


async def whoami(gate: Gate, headers: dict[str, str]) -> httpx.Response:
    return await gate.client.get("/whoami", headers=headers)


async def test_without_credentials_a_request_is_refused(gate: Gate) -> None:
    answer = await gate.client.get("/jobs")
    detail = assert_problem(answer, 401, "unauthorized")
    assert "Authorization: Bearer" in detail
    assert answer.headers["www-authenticate"] == 'Bearer realm="stemserve"'
    assert answer.headers["cache-control"] == "no-store"


async def test_a_key_opens_its_tenants_jobs(gate: Gate, song: bytes) -> None:
    _, acme = gate.key(tenant="acme")
    _, globex = gate.key(tenant="globex")
    files = {"file": ("song.wav", song)}
    made = await gate.client.post("/separate", files=files, headers=acme)
    assert made.status_code == 200
    counts = [
        (await gate.client.get("/jobs", headers=headers)).json()["count"]
        for headers in (acme, globex)
    ]
    assert counts == [1, 0]
    (job,) = gate.server.store.listed("acme", 10)
    assert job.id == made.json()["job_id"]


async def test_the_tenant_of_a_key_is_that_of_the_gateways_header(
    server: Server,
) -> None:
    """However it is written: a name with a space is stored as its digest."""
    async with guarded(server, GATEWAY) as gate:
        _, headers = gate.key(tenant="two words")
        answer = await whoami(gate, {**headers, HEADER: "two words"})
        assert len(answer.json()["tenant"]) == 64


async def test_a_key_is_sent_in_either_header(gate: Gate) -> None:
    key, headers = gate.key("stems:read", tenant="acme")
    text = headers["Authorization"].removeprefix("Bearer ")
    for sent in (headers, {"X-API-Key": text}):
        answer = await whoami(gate, sent)
        assert answer.json() == {
            "tenant": "acme",
            "credential": f"key:{key.id}",
            "scopes": ["stems:read"],
        }


async def test_a_scope_that_is_missing_is_named(gate: Gate) -> None:
    _, headers = gate.key("stems:read")
    answer = await gate.client.post("/separate", headers=headers)
    assert "stems:write" in assert_problem(answer, 403, "forbidden")
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="stemserve", error="insufficient_scope", scope="stems:write"'
    )


async def test_requests_that_the_scopes_forbid_count(gate: Gate) -> None:
    quotas, scopes = Quotas(requests_per_minute=2), frozenset({"stems:read"})
    _, text = gate.keys.create(NewKey("test", "acme", scopes, quotas=quotas))
    headers = bearer(text.text)
    answers = [await gate.client.post("/separate", headers=headers) for _ in range(3)]
    assert statuses(answers) == [403, 403, 429]


@pytest.mark.parametrize("sent", ["Bearer nonsense", "Bearer a b", "Bearer"])
async def test_invalid_credentials_are_said_to_be_invalid(
    gate: Gate, sent: str
) -> None:
    answer = await gate.client.get("/jobs", headers={"Authorization": sent})
    assert_problem(answer, 401, "unauthorized")
    challenge = 'Bearer realm="stemserve", error="invalid_token"'
    assert answer.headers["www-authenticate"] == challenge
    assert sent not in answer.text


async def test_the_password_of_a_proxy_is_no_credential(gate: Gate) -> None:
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    answer = await gate.client.get("/jobs", headers=basic)
    assert answer.headers["www-authenticate"] == 'Bearer realm="stemserve"'
    _, headers = gate.key()
    key = headers["Authorization"].removeprefix("Bearer ")
    both = {**basic, "X-API-Key": key}
    assert (await gate.client.get("/jobs", headers=both)).status_code == 200


async def test_two_credentials_are_refused(gate: Gate) -> None:
    _, headers = gate.key()
    twice = [*headers.items(), *headers.items()]
    assert_problem(await gate.client.get("/jobs", headers=twice), 400, "bad_request")


async def test_the_body_of_a_refused_request_is_not_read(gate: Gate) -> None:
    sent: list[int] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("status", 0))

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/separate",
        "query_string": b"",
        "headers": [(b"content-length", b"1000"), (b"authorization", b"Bearer x")],
    }
    await gate.app(scope, refuse_to_read, send)
    assert sent[0] == 401


async def test_keys_can_also_be_managed_with_a_key(gate: Gate) -> None:
    _, admin = gate.key("admin")
    _, other = gate.key()
    answers = [
        await gate.client.get("/keys", headers=headers)
        for headers in (admin, bearer(ADMIN_KEY), other, {})
    ]
    assert statuses(answers) == [200, 200, 403, 401]


# Open or not.


async def test_a_server_without_keys_is_open(server: Server) -> None:
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        assert (await gate.client.get("/jobs")).status_code == 200
        assert (await gate.client.get("/health")).json()["access"] == "open"
        # But not to those who would make keys.
        answer = await gate.client.post("/keys", json={"name": "app"})
        assert_problem(answer, 401, "unauthorized")


async def test_a_server_without_keys_ignores_those_of_a_proxy(server: Server) -> None:
    """A proxy with a password of its own passes it on, as nginx does."""
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        for sent in ("Basic dXNlcjpwYXNz", "Bearer token.of.another"):
            answer = await gate.client.get("/jobs", headers={"Authorization": sent})
            assert answer.status_code == 200


async def test_the_first_key_closes_the_server(server: Server) -> None:
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        key, headers = gate.key()
        answers = [await gate.client.get("/jobs", headers=h) for h in ({}, headers)]
        assert statuses(answers) == [401, 200]
        assert (await gate.client.get("/health")).json()["access"] == "required"
        gate.keys.revoke(key.id)
    # It stays closed: a revoked key must not let everyone in.
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        assert (await gate.client.get("/jobs")).status_code == 401


async def test_an_operators_key_closes_the_server(server: Server) -> None:
    async with guarded(server, UNDECIDED) as gate:
        assert (await gate.client.get("/jobs")).status_code == 401


async def test_access_can_be_required_before_there_is_a_key(server: Server) -> None:
    async with guarded(server, AccessPolicy(True), admin_key="") as gate:
        assert (await gate.client.get("/jobs")).status_code == 401
        assert (await gate.client.get("/health")).json()["access"] == "required"


async def test_access_can_stay_open_beside_keys(server: Server) -> None:
    async with guarded(server, AccessPolicy(False)) as gate:
        key, headers = gate.key(tenant="acme")
        assert (await gate.client.get("/jobs")).status_code == 200
        assert (await whoami(gate, headers)).json()["tenant"] == "acme"
        # What is sent must be valid: else it would show another's empty list.
        answer = await gate.client.get("/jobs", headers=bearer("wrong"))
        assert answer.status_code == 401
        assert key.id


async def test_a_system_can_be_open_while_others_are_not(server: Server) -> None:
    async with guarded(server, open_systems("stems")) as gate:
        answers = [
            await gate.client.get(path) for path in ("/jobs", "/whoami", "/keys")
        ]
        assert statuses(answers) == [200, 200, 401]
        assert (await gate.client.get("/jobs", headers=bearer("x"))).status_code == 401
    async with guarded(server, open_systems("images")) as gate:
        assert (await gate.client.get("/jobs")).status_code == 401


async def test_an_open_server_says_so_once_and_only_to_the_network(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(server, UNDECIDED, admin_key="") as gate:
        for address, warnings in (
            *(("127.0.0.1", 0), ("::1", 0), ("10.0.0.7", 1), ("10.0.0.8", 1)),
        ):
            transport = httpx.ASGITransport(gate.app, client=(address, 5_000))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://server"
            ) as client:
                assert (await client.get("/jobs")).status_code == 200
            said = [
                record
                for record in caplog.records
                if record.levelno == logging.WARNING
                and "access is open" in record.message
            ]
            assert len(said) == warnings


# Gateways.


@pytest.mark.parametrize(
    ("tenant", "named", "status"),
    [
        ("acme", "acme", 200),
        ("acme", "globex", 403),
        ("acme", None, 403),
        ("acme", "", 403),
        ("acme", "acme, globex", 403),
        ("*", "acme", 200),
        ("*", "globex", 200),
        ("*", None, 403),
        # A tenant may be called that; it is only one of many.
        ("acme", "*", 403),
        ("*", "*", 200),
    ],
)
async def test_behind_a_gateway_the_header_names_the_tenant(
    server: Server, tenant: str, named: str | None, status: int
) -> None:
    async with guarded(server, GATEWAY) as gate:
        _, headers = gate.key(tenant=tenant)
        if named is not None:
            headers = {**headers, HEADER: named}
        answer = await gate.client.get("/jobs", headers=headers)
        assert answer.status_code == status
        if status == 200:
            assert (await whoami(gate, headers)).json()["tenant"] == named


async def test_a_request_that_names_two_tenants_is_refused(server: Server) -> None:
    async with guarded(server, GATEWAY) as gate:
        _, headers = gate.key(tenant="*")
        twice = [*headers.items(), (HEADER, "acme"), (HEADER, "globex")]
        answer = await gate.client.get("/jobs", headers=twice)
        assert_problem(answer, 403, "tenant_required")


async def test_the_header_alone_is_no_credential(server: Server) -> None:
    async with guarded(server, GATEWAY) as gate:
        answer = await gate.client.get("/jobs", headers={HEADER: "acme"})
        assert answer.status_code == 401


async def test_in_an_open_system_nobody_names_a_tenant_without_a_key(
    server: Server, song: bytes
) -> None:
    policy = open_systems("stems", tenant_header=HEADER)
    async with guarded(server, policy) as gate:
        _, headers = gate.key(tenant="acme")
        job_id = await gate.separated(song, {**headers, HEADER: "acme"})
        for named in ({HEADER: "acme"}, {}):
            assert (await whoami(gate, named)).json()["tenant"] is None
            listed = await gate.client.get("/jobs", headers=named)
            assert (listed.status_code, listed.json()["jobs"]) == (200, [])
            for method in ("GET", "DELETE"):
                answer = await gate.client.request(
                    method, f"/job/{job_id}", headers=named
                )
                assert answer.status_code == 404


async def test_where_all_is_open_the_header_is_enough(server: Server) -> None:
    policy = AccessPolicy(is_required=False, tenant_header=HEADER)
    async with guarded(server, policy, admin_key="") as gate:
        assert (await whoami(gate, {HEADER: "acme"})).json()["tenant"] == "acme"
        assert_problem(await gate.client.get("/jobs"), 403, "tenant_required")


async def test_keys_are_managed_and_shown_without_a_tenant(server: Server) -> None:
    async with guarded(server, GATEWAY) as gate:
        for path in ("/keys", "/whoami"):
            answer = await gate.client.get(path, headers=bearer(ADMIN_KEY))
            assert answer.status_code == 200


@pytest.mark.parametrize("scope", ["stems:write", "images:read"])
async def test_whoever_has_credentials_may_ask_what_they_are(
    gate: Gate, scope: str
) -> None:
    _, headers = gate.key(scope)
    assert (await whoami(gate, headers)).json()["scopes"] == [scope]


async def test_without_a_gateway_nobody_chooses_a_tenant(gate: Gate) -> None:
    _, headers = gate.key(tenant="acme")
    answer = await whoami(gate, {**headers, HEADER: "globex"})
    assert answer.json()["tenant"] == "acme"
    _, headers = gate.key(tenant="*")
    answer = await whoami(gate, {**headers, HEADER: "globex"})
    assert answer.json()["tenant"] is None


# What is down.


async def test_without_the_database_nobody_comes_in_unchecked(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, headers = gate.key()

    def fail(_: str) -> None:
        raise DatabaseUnavailable("It is down.")

    monkeypatch.setattr(gate.keys, "find", fail)
    answer = await gate.client.get("/jobs", headers=headers)
    assert_problem(answer, 503, "database_unavailable")
    assert "retry-after" in answer.headers
    assert (await gate.client.get("/livez", headers=headers)).status_code == 200


async def test_pages_can_read_why_they_were_refused(gate: Gate) -> None:
    origin = {"Origin": "https://console.example"}
    answer = await gate.client.get("/jobs", headers=origin)
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers[REQUEST_ID]


async def test_other_kinds_of_connections_pass_by(gate: Gate) -> None:
    """Such as `lifespan`, which has no client."""
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    async def nothing(*_: object) -> dict[str, str]:
        return {}

    door = CheckedDoor(app, OpenDoor(), RouteRules())
    await door({"type": "lifespan"}, nothing, nothing)
    assert passed == ["lifespan"]


async def test_a_browser_may_ask_what_it_may_send(gate: Gate) -> None:
    async with connect(gate.app) as client:
        answer = await client.options(
            "/separate",
            headers={
                "Origin": "https://console.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, x-api-key",
            },
        )
    assert answer.status_code == 200
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "x-api-key" in allowed
