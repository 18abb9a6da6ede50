"""The application accepts the tokens of Better Auth, which runs beside it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import jwt
import pytest

from deployments import access, kernel
from serve_app.settings import Settings
from tests.ports import free_port
from tests.unit.access import better_auth
from tests.unit.access.better_auth import Site
from tests.unit.server import Server, assert_problem, connect

# The first one may install Better Auth.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with better_auth.running(directory, free_port()) as site:
        yield site


@pytest.fixture
async def client(
    site: Site, server: Server, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, whose settings name the site."""
    settings = Settings(
        data_dir=tmp_path / "access",
        better_auth_url=f"{site.url}/",
        jwt_issuer=site.url,
        jwt_audience=site.url,
        allow_private_jwks=True,
    )
    settings.data_dir.mkdir()
    server.clock.now = datetime.now(UTC)
    shared = replace(kernel.build(settings), clock=server.clock)
    door = access.built(settings, shared, ("stems",)).door
    async with connect(server.app_with(door=door)) as client:
        yield client
    shared.database.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def sent(client: httpx.AsyncClient, song: bytes, token: str) -> str:
    answer = await client.post(
        "/separate", files={"file": ("song.wav", song)}, headers=bearer(token)
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


async def status_of(client: httpx.AsyncClient, token: str) -> int:
    answer = await client.get("/jobs", headers=bearer(token))
    return answer.status_code


async def test_a_users_jobs_are_their_own(
    site: Site, client: httpx.AsyncClient, server: Server, song: bytes
) -> None:
    assert_problem(await client.get("/jobs"), 401, "unauthorized")
    with site.user("ada") as ada, site.user("bob") as bob:
        hers, his = ada.token(), bob.token()
        job_id = await sent(client, song, hers)
        assert server.store.get(job_id).tenant == ada.id
        other_id = await sent(client, song, his)
        for token, own, foreign in (
            (hers, job_id, other_id),
            (his, other_id, job_id),
        ):
            headers = bearer(token)
            listed = await client.get("/jobs", headers=headers)
            assert [each["job_id"] for each in listed.json()["jobs"]] == [own]
            assert (await client.get(f"/job/{own}", headers=headers)).is_success
            answer = await client.get(f"/job/{foreign}", headers=headers)
            assert_problem(answer, 404, "job_not_found")


async def test_rotated_keys_keep_working_and_new_ones_work_at_once(
    site: Site, client: httpx.AsyncClient
) -> None:
    with site.user("eve") as eve:
        old = eve.token()
        assert await status_of(client, old) == 200
        before = site.key_ids()
        site.rotate()
        new = eve.token()
        assert jwt.get_unverified_header(new)["kid"] not in before
        assert await status_of(client, new) == 200
        assert await status_of(client, old) == 200
        site.delete_keys()
        newest = eve.token()
        # The second unknown key within a minute: it is searched later.
        answer = await client.get("/jobs", headers=bearer(newest))
        assert "try again in a minute" in assert_problem(answer, 401, "unauthorized")
        assert await status_of(client, new) == 200


async def test_a_token_outlives_its_session_until_it_expires(
    site: Site, client: httpx.AsyncClient, server: Server
) -> None:
    with site.user("dan") as dan:
        token = dan.token()
        dan.sign_out()
    assert await status_of(client, token) == 200
    server.clock.move(14 * 60)
    assert await status_of(client, token) == 200
    server.clock.move(2 * 60)
    answer = await client.get("/jobs", headers=bearer(token))
    assert "expired" in assert_problem(answer, 401, "unauthorized")
