"""While the application is unavailable, errors are problem+json with CORS headers."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.gate import Gate
from tests.unit.server import ORIGIN, assert_problem

pytestmark = pytest.mark.anyio


async def asked(
    app: ASGIApp, path: str = "/job/x", method: str = "GET", **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(Gate(app, ("*",)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, path, headers={"Origin": ORIGIN, **headers})


def saying(status: int, text: str) -> ASGIApp:
    """Return a server that answers everything itself, as Serve's proxy does."""
    return PlainTextResponse(text, status)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "Path '/job/x' not found. Ping http://.../-/routes for routes."),
        (503, "No replicas are available yet."),
        (500, "Internal Server Error"),
        (408, "Request 1 timed out after 5s."),
    ],
)
async def test_what_the_server_says_in_plain_text_becomes_a_503(
    status: int, text: str
) -> None:
    answer = await asked(saying(status, text))
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["retryable"] is True


async def test_too_many_requests_stay_429() -> None:
    answer = await asked(saying(429, "Request dropped due to backpressure"))
    assert_problem(answer, 429, "too_many_requests")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_no_answer_at_all_becomes_a_503() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        """As Serve's proxy does when a replica dies with the request."""

    answer = await asked(silent)
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_preflights_are_answered_while_the_application_is_away() -> None:
    headers = {"Access-Control-Request-Method": "POST"}
    answer = await asked(saying(404, "nothing"), "/separate", "OPTIONS", **headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_question_about_the_server_is_not_about_the_application() -> None:
    gate = Gate(saying(404, "no such path"), ("*",))

    async def asterisk(scope: Scope, receive: Receive, send: Send) -> None:
        await gate({**scope, "path": "*"}, receive, send)

    transport = httpx.ASGITransport(asterisk)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.options("/")).status_code == 404


@pytest.mark.parametrize("path", ["/-/healthz", "/-/routes"])
async def test_the_answers_to_probes_of_the_server_stand(path: str) -> None:
    answer = await asked(saying(503, "Route table is not populated yet."), path)
    assert answer.status_code == 503
    assert answer.text == "Route table is not populated yet."


@pytest.mark.parametrize(
    ("status", "media_type"),
    [
        (404, "application/problem+json"),
        (503, "application/problem+json"),
        (200, "text/plain"),
        (200, "audio/wav"),
        (206, "audio/wav"),
    ],
)
async def test_the_answers_of_the_application_pass_unchanged(
    status: int, media_type: str
) -> None:
    said = Response(b"{}", status, {"X-Ours": "yes"}, media_type)
    answer = await asked(said)
    assert answer.status_code == status
    assert answer.content == b"{}"
    assert answer.headers["x-ours"] == "yes"
    assert "access-control-allow-origin" not in answer.headers


async def test_a_stream_passes_as_it_comes_and_a_cut_one_is_not_patched() -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("cut")

    async def stream(_: object) -> Response:
        return StreamingResponse(half())

    with pytest.raises(RuntimeError, match="cut"):
        await asked(Starlette(routes=[Route("/job/x", stream)]))


async def test_a_crowd_of_streams_begins_in_turns_and_short_requests_pass_it() -> None:
    begun, may_begin, may_end = 0, asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        if scope["path"] == "/job/x/events":
            begun += 1
            await may_begin.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/job/x/events":
            await may_end.wait()
        await send({"type": "http.response.body"})

    gate = Gate(slow, ("*",))

    async def ask(path: str) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {"type": "http", "path": path, "method": "GET", "headers": []}
        await gate(scope, nothing, send)
        return sent

    async def nothing() -> Message:
        raise AssertionError("nobody reads")

    streams = [asyncio.create_task(ask("/job/x/events")) for _ in range(50)]
    await asyncio.sleep(0.1)
    assert (await ask("/livez"))[0]["status"] == 200
    assert 0 < begun < 20
    # One that has begun makes room for the next, long before it ends.
    may_begin.set()
    async with asyncio.timeout(5):
        while begun < 50:  # noqa: ASYNC110  counted by the server
            await asyncio.sleep(0.01)
    may_end.set()
    for sent in await asyncio.gather(*streams):
        assert sent[-1]["type"] == "http.response.body"
