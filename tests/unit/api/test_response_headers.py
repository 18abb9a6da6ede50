"""Headers that restrict what browsers and caches do with responses."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from serve_app.api import gate as start_gate
from serve_app.api.response_headers import ResponseHeaders, keep_private
from serve_app.api.route_rules import Need
from tests.unit.access.gate import Gate, uncached
from tests.unit.server import Server

PARAMETER = re.compile(r"\{[^}]*\}")


@pytest.fixture
async def gate(server: Server) -> AsyncIterator[Gate]:
    async with uncached(server) as gate:
        yield gate


def calls(gate: Gate) -> list[tuple[str, str]]:
    """Return the method and an unknown path of every route."""
    found = []
    for route in iter_route_contexts(gate.app.routes):
        path = PARAMETER.sub("0" * 32, str(route.path))
        if route.methods is None:
            # A directory of files.
            path, methods = f"{path}/docs.css", ["GET"]
        else:
            methods = sorted(route.methods)
        found += [(method, path) for method in methods]
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("has_key", [False, True])
async def test_every_route_restricts_browsers_and_caches(
    gate: Gate, has_key: bool
) -> None:
    headers = gate.key("*:read", "*:write", "admin")[1] if has_key else {}
    found = calls(gate)
    assert len(found) > 30
    for method, path in found:
        answer = await gate.client.request(method, path, headers=headers)
        call = (method, path, answer.status_code)
        assert answer.headers["x-content-type-options"] == "nosniff", call
        assert answer.headers["referrer-policy"] == "no-referrer", call
        if answer.headers.get("content-type", "").startswith("text/html"):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy, call
        rule = gate.app.state.rules.of({"type": "http", "method": method, "path": path})
        if rule.need is not Need.NOTHING:
            assert answer.headers["cache-control"] == "no-store", call


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/nowhere", "/docs", "/openapi.json", "/health"])
async def test_responses_without_a_rule_are_restricted_too(
    server: Server, path: str
) -> None:
    for method in ("GET", "PUT", "OPTIONS"):
        answer = await server.client.request(method, path)
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
async def test_the_gate_s_own_responses_are_restricted_too() -> None:
    async def starting(scope: Scope, receive: Receive, send: Send) -> None:
        return

    transport = httpx.ASGITransport(start_gate.Gate(starting, ("*",)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/jobs")
    assert answer.status_code == 503
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def restricted(headers: dict[str, str]) -> httpx.Headers:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": b""})

    transport = httpx.ASGITransport(ResponseHeaders(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return (await client.get("/")).headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("media_type", "is_document"),
    [
        ("text/html; charset=utf-8", True),
        ("image/svg+xml", True),
        ("application/json", False),
        ("image/png", False),
        ("audio/wav", False),
    ],
)
async def test_documents_may_load_and_run_nothing(
    media_type: str, is_document: bool
) -> None:
    headers = await restricted({"content-type": media_type})
    policy = headers.get("content-security-policy", "")
    assert ("default-src 'none'" in policy and "sandbox" in policy) == is_document


@pytest.mark.anyio
async def test_a_response_keeps_its_own_policy() -> None:
    own = {"content-type": "text/html", "content-security-policy": "default-src 'self'"}
    headers = await restricted(own)
    assert headers["content-security-policy"] == "default-src 'self'"


@pytest.mark.anyio
async def test_other_messages_pass_unchanged() -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        seen.append(message)

    await ResponseHeaders(app)({"type": "lifespan"}, receive, send)
    assert seen == [{"type": "lifespan.startup.complete"}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "no-store"),
        ("no-store", "no-store"),
        ("private, no-cache", "private, no-cache"),
        ("max-age=60", "private, max-age=60"),
        ("public, max-age=60", "private, max-age=60"),
        ("no-cache", "private, no-cache"),
    ],
)
def test_what_is_not_for_everyone_stays_out_of_shared_caches(
    before: str | None, after: str
) -> None:
    headers = MutableHeaders({} if before is None else {"cache-control": before})
    keep_private(headers)
    assert headers["cache-control"] == after
    assert ("authorization" in headers.get("vary", "").lower()) == (after != "no-store")
