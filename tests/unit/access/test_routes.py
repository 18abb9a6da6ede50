"""Every route requires what the table says, and nothing more is open."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.api.route_rules import Need
from tests.unit.access import route_table
from tests.unit.access.gate import Gate
from tests.unit.access.route_table import TABLE, Call, Scene
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

ROWS = {
    Call(*row.split()[:2]): row
    for row in TABLE.read_text().splitlines()
    if not row.startswith("#")
}
OF_SOMETHING = [
    call for call in ROWS if call.names and not call.path.startswith("/keys")
]
PROBES = ("/livez", "/readyz", "/health", "/ping")


@pytest.fixture
async def scene(server: Server, song: bytes) -> AsyncIterator[Scene]:
    async with route_table.set_up(server, song) as scene:
        yield scene


def told(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return all that a response says but which request it is for."""
    headers = dict(answer.headers)
    del headers["x-request-id"]
    body = answer.json() if answer.content else {}
    body.pop("instance", None)
    return answer.status_code, headers, body


async def test_the_table_has_every_route(gate: Gate) -> None:
    """If not, write it anew: `python -m tests.unit.access.route_table`."""
    assert list(ROWS) == route_table.calls(gate.app)


@pytest.mark.parametrize("call", ROWS, ids=lambda call: f"{call.method} {call.path}")
async def test_a_route_requires_what_its_row_says(scene: Scene, call: Call) -> None:
    found, rule = await route_table.statuses_of(scene, call), scene.rule(call)
    assert route_table.line(rule, call, found) == ROWS[call]
    right = found[-1]
    assert right < 400, "the right key must open it"
    if rule.need is not Need.OWN:
        assert found == route_table.expected(rule, call, right)


@pytest.mark.parametrize(
    "call", OF_SOMETHING, ids=lambda call: f"{call.method} {call.path}"
)
async def test_what_is_another_tenants_is_as_unknown_as_what_nobody_has(
    scene: Scene, call: Call
) -> None:
    _, other = scene.gate.key(tenant="globex")
    theirs = await scene.answer(call, other)
    assert theirs.status_code == 404
    assert told(theirs) == told(await scene.answer(call, other, unknown=True))
    # A gateway's key or an operator's, for whom there is no tenant, finds no more.
    _, any_tenant = scene.gate.key(tenant="*")
    assert told(await scene.answer(call, any_tenant)) == told(theirs)


@pytest.mark.parametrize("call", ROWS, ids=lambda call: f"{call.method} {call.path}")
async def test_a_page_may_ask_whether_it_may_send(gate: Gate, call: Call) -> None:
    """Browsers send no credentials with that."""
    headers = {
        "Origin": "https://console.example",
        "Access-Control-Request-Method": call.method,
        "Access-Control-Request-Headers": "authorization",
    }
    answer = await gate.client.options(call.path, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("header", ["Bearer wrong", "Basic dTpw", ""])
async def test_probes_answer_whatever_they_are_sent(
    gate: Gate, path: str, header: str
) -> None:
    headers = {"Authorization": header}
    assert (await gate.client.get(path, headers=headers)).status_code == 200
    assert (await gate.client.head(path, headers=headers)).status_code == 200


async def test_the_documentation_is_open(gate: Gate) -> None:
    for path in ("/docs", "/openapi.json"):
        assert (await gate.client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/nothing", "/job", "/job/a/b/c", "/keys/a/b", "/job/"]
)
async def test_an_unknown_path_is_404_with_and_without_credentials(
    gate: Gate, path: str
) -> None:
    _, headers = gate.key()
    for sent in ({}, headers, {"Authorization": "Bearer wrong"}):
        answer = await gate.client.get(path, headers=sent)
        assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/separate"),
        ("GET", "/separate"),
        ("PATCH", "/keys"),
        ("POST", "/job/a"),
        ("OPTIONS", "/jobs"),
        ("TRACE", "/jobs"),
        ("get", "/jobs"),
    ],
)
async def test_a_method_that_a_path_lacks_reaches_no_route(
    gate: Gate, method: str, path: str
) -> None:
    transport = httpx.ASGITransport(gate.app)
    request = httpx.Request(method, f"http://server{path}")
    # As a server may pass it on, though httpx would write it in capitals.
    request.method = method
    answer = await transport.handle_async_request(request)
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "//jobs",
        "/jobs/",
        "/JOBS",
        "/./jobs",
        "/x/../jobs",
        "/jobs%2f",
        "/jobs%00",
        "/%6aobs",
    ],
)
async def test_no_other_spelling_of_a_path_goes_past_the_door(
    gate: Gate, path: str
) -> None:
    transport = httpx.ASGITransport(gate.app)
    answer = await transport.handle_async_request(
        httpx.Request("GET", f"http://server{path}")
    )
    assert answer.status_code in (307, 401, 404)


async def test_a_path_below_a_prefix_has_its_rule(gate: Gate) -> None:
    """Serve puts an application below its `route_prefix`."""
    transport = httpx.ASGITransport(gate.app, root_path="/stems")
    async with httpx.AsyncClient(
        transport=transport, base_url="http://server"
    ) as client:
        assert (await client.get("/stems/jobs")).status_code == 401
        assert (await client.get("/stems/livez")).status_code == 200
