"""The fuzzer of the API sees server errors, and reaches routes behind the door."""

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.unit.server import Server, connect
from tools import fuzz_api
from tools.fuzz_api import Counted

pytestmark = pytest.mark.anyio


async def test_server_errors_are_counted_with_their_requests() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status = 503 if scope["path"] == "/bad" else 422
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    counted = Counted(app)
    async with connect(counted) as client:  # type: ignore[arg-type]
        for path in ("/bad?x=1", "/good"):
            await client.get(path)
    assert counted.statuses == {503: 1, 422: 1}
    assert counted.failures == ["503 GET /bad?x=1"]


@pytest.mark.parametrize(
    ("access", "status"),
    [(fuzz_api.KEY, 200), (fuzz_api.NONE, 401), (fuzz_api.OFF, 200)],
)
async def test_requests_go_on_until_there_are_enough(
    server: Server, monkeypatch: pytest.MonkeyPatch, access: str, status: int
) -> None:
    seeds: list[int] = []

    def generate(address: str, seed: int, header: str) -> None:
        seeds.append(seed)
        name, _, value = header.partition(": ")
        for _ in range(4):
            httpx.get(f"{address}/jobs", headers={name: value} if name else {})

    monkeypatch.setattr(fuzz_api, "generate", generate)
    counted = await fuzz_api.run(server, access, cases=10, seed=7)
    assert counted.statuses == {status: 12}
    assert seeds == [7, 8, 9]
