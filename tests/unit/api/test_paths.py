"""Paths that can name nothing are unknown, whatever the database would say."""

import pytest

from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "path",
    ["/job/%00", "/job/a%00b/deliveries", "/job/a/deliveries/%00/replay", "/%00"],
)
async def test_a_path_with_a_nul_is_unknown(server: Server, path: str) -> None:
    """Postgres would refuse to look it up, which was a 500."""
    for method in ("GET", "POST", "DELETE"):
        answer = await server.client.request(method, path)
        assert "\0" not in assert_problem(answer, 404, "not_found")
