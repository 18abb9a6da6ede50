"""Another tenant's job costs what an unknown id costs: the same statements, no rows.

`benchmarks/timing_of_404.py` measures the time itself.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from serve_app.jobs import statements
from tests.unit.access import route_table
from tests.unit.access.route_table import Call, Scene
from tests.unit.access.test_routes import OF_SOMETHING
from tests.unit.server import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(server: Server, song: bytes) -> AsyncIterator[Scene]:
    async with route_table.set_up(server, song) as scene:
        yield scene


@contextmanager
def recorded(server: Server) -> Iterator[list[str]]:
    """Yield the list of statements that the database runs."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        found.append(statement)

    engine = server.database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "call", OF_SOMETHING, ids=lambda call: f"{call.method} {call.path}"
)
async def test_another_tenants_costs_what_an_unknown_one_costs(
    scene: Scene, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = scene.gate.key(tenant="globex")
    # So that the key is cached, and its use recorded.
    await scene.answer(call, other)

    def fail(*_: Any) -> None:
        raise AssertionError("the row was read")

    monkeypatch.setattr(statements, "to_job", fail)
    costs = []
    for unknown in (False, True):
        with recorded(scene.gate.server) as ran:
            assert (await scene.answer(call, other, unknown)).status_code == 404
        costs.append(ran)
    assert costs[0] == costs[1]
