"""The service's own routes."""

import pytest

from tests.unit.server import Server

pytestmark = pytest.mark.anyio


class Untouchable:
    """Fails whoever looks at it."""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"{name} was touched")


async def test_the_process_answers_without_its_services(server: Server) -> None:
    away = {"jobs": Untouchable(), "storage": Untouchable(), "health": None}
    async with server.with_services(**away) as client:
        for path in ("/livez", "/ping"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_the_root_says_what_is_served(server: Server) -> None:
    answer = await server.client.get("/")
    assert answer.status_code == 200
    root = answer.json()
    assert root["name"] == "stemserve"
    assert root["version"] == server.app.version
    for link in (root["docs"], root["health"]):
        assert (await server.client.get(link)).status_code == 200
    head = await server.client.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["ping", "livez", "config", "models", "health", "readyz"]
)
async def test_probes_may_ask_by_head(server: Server, path: str) -> None:
    answer, head = [
        await ask(f"/{path}") for ask in (server.client.get, server.client.head)
    ]
    assert (head.status_code, head.content) == (answer.status_code, b"")
