import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from serve_app.api import pieces
from serve_app.api.middleware import OnRequest, RequestBegin, RequestEnd
from tests.unit.server import ORIGIN, Server, assert_problem, connect

pytestmark = pytest.mark.anyio

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def break_down(app: FastAPI) -> None:
    """Give `app` routes that fail, before and within their answers."""

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret of ours")

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def blocks() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("cut")

        return StreamingResponse(blocks())


async def test_a_failure_is_a_problem_that_browsers_can_read(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    break_down(server.app)
    answer = await server.client.get("/broken", headers={"Origin": ORIGIN})
    detail = assert_problem(answer, 500, "internal_error")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"] in detail
    assert "secret" not in answer.text
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 1
    assert answer.headers["x-request-id"] in logged[0].getMessage()


async def test_half_an_answer_is_cut_off_and_not_passed_off_as_whole(
    server: Server,
) -> None:
    break_down(server.app)
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        with pytest.raises(RuntimeError, match="cut"):
            await client.get("/half")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ping", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/jobs", 405),
        ("GET", "/job/unknown", 404),
        ("POST", "/separate", 400),
        ("GET", "/jobs?limit=none", 422),
    ],
)
async def test_every_answer_can_be_read_from_other_origins(
    server: Server, method: str, path: str, status: int
) -> None:
    answer = await server.client.request(method, path, headers={"Origin": ORIGIN})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"content-range", "etag", "retry-after", "location"} <= set(exposed)


async def test_an_upload_that_is_too_large_can_be_read_from_other_origins(
    server: Server,
) -> None:
    answer = await server.client.post(
        "/separate",
        files={"file": ("a.wav", bytes(2_000_001))},
        headers={"Origin": ORIGIN},
    )
    assert_problem(answer, 413, "upload_too_large")
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_listed_origins_are_allowed_with_credentials_and_others_not(
    server: Server,
) -> None:
    async with server.with_services(cors_origins=(ORIGIN,)) as client:
        listed = await client.get("/nowhere", headers={"Origin": ORIGIN})
        other = await client.get("/ping", headers={"Origin": "https://other.example"})
    assert listed.headers["access-control-allow-origin"] == ORIGIN
    assert listed.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in other.headers


def preflight(origin: str, method: str = "DELETE") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,range",
    }


async def test_a_preflight_allows_what_the_routes_take(server: Server) -> None:
    answer = await server.client.options("/job/1", headers=preflight(ORIGIN))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "range" in answer.headers["access-control-allow-headers"]


async def test_a_page_on_the_web_may_call_a_service_in_a_private_network(
    server: Server,
) -> None:
    headers = {**preflight(ORIGIN), "Access-Control-Request-Private-Network": "true"}
    answer = await server.client.options("/job/1", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-private-network"] == "true"


async def test_a_refused_preflight_is_a_problem_that_says_so(server: Server) -> None:
    headers = {
        **preflight("https://x.example"),
        "Access-Control-Request-Private-Network": "true",
    }
    async with server.with_services(cors_origins=(ORIGIN,)) as client:
        answer = await client.options("/job/1", headers=headers)
    assert "access-control-allow-private-network" not in answer.headers
    assert "origin" in assert_problem(answer, 400, "bad_request")
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_a_request_keeps_a_plain_id_and_gets_a_new_one_for_any_other(
    server: Server,
) -> None:
    for given, is_kept in [("abc-1.2_3", True), ("", False), ("x" * 65, False)]:
        answer = await server.client.get("/ping", headers={"X-Request-ID": given})
        assert (answer.headers["x-request-id"] == given) is is_kept
        assert len(answer.headers["x-request-id"]) > 8
    answer = await server.client.get("/ping", headers={"X-Request-ID": "a b"})
    assert " " not in answer.headers["x-request-id"]


async def test_a_request_is_one_line_of_log_without_what_its_query_says(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serve_app.api")
    async with connect(server.app) as client:
        await client.get("/job/a%0Ab?token=secret", headers={"X-Request-ID": "r1"})
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("serve_app.api")
    ]
    assert len(lines) == 1
    assert lines[0].startswith(
        "request completed method=GET path=/job/a%0Ab status=404 client=127.0.0.1 "
    )
    assert lines[0].endswith("ms request=r1")


async def test_what_is_not_http_passes_through(server: Server) -> None:
    """Servers send lifespan events to every application."""
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive() -> dict[str, str]:
        return events.pop(0)

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    await server.app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send)  # type: ignore[arg-type]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize(
    ("method", "path", "host", "end"),
    [
        ("GET", "/job/unknown?wait=0", "server", ("/job/{job_id}", "GET", 404)),
        ("GET", "/ping", "server", ("/ping", "GET", 200)),
        ("GET", "/nowhere", "server", ("", "GET", 404)),
        ("GET", "/ping", "evil.example", ("", "GET", 421)),
    ],
)
async def test_the_end_of_a_request_is_reported_by_the_template_of_its_path(
    server: Server, method: str, path: str, host: str, end: tuple[str, str, int]
) -> None:
    ends: list[RequestEnd] = []
    client = server.with_services(on_request=ends.append, allowed_hosts=("server",))
    async with client:
        await client.request(method, path, headers={"Host": host})
    [found] = ends
    assert (found.route, found.method, found.status) == end
    assert found.seconds > 0


@pytest.mark.parametrize(
    ("given", "accepted"), [(TRACEPARENT, TRACEPARENT), ("made up", ""), ("", "")]
)
async def test_a_request_is_traced_from_its_begin_to_its_end(
    server: Server, given: str, accepted: str
) -> None:
    begun: list[RequestBegin] = []
    ends: list[RequestEnd] = []

    def trace(begin: RequestBegin) -> OnRequest:
        begun.append(begin)
        return ends.append

    async with server.with_services(trace=trace) as client:
        await client.delete("/job/unknown", headers={"traceparent": given})
    assert begun == [RequestBegin("DELETE", "http", accepted, is_trusted=False)]
    [end] = ends
    assert (end.route, end.status) == ("/job/{job_id}", 404)


@pytest.mark.parametrize(("piece", "number"), [("0-10", 1), ("10-20", 0)])
async def test_later_pieces_of_a_file_are_not_traced(
    server: Server, piece: str, number: int
) -> None:
    begun: list[RequestBegin] = []
    async with server.with_services(trace=begun.append) as client:
        await client.get("/ping", headers={pieces.HEADER: piece})
    assert len(begun) == number
