"""The settings choose who may come in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Scope

from deployments import access, kernel
from deployments.access import Access
from serve_app.api.route_rules import Need, RouteRule
from serve_app.errors import Forbidden, Unauthorized
from serve_app.settings import Settings
from tests.unit.access import issuer as issuers
from tests.unit.access.issuer import Issuer, claims_at

pytestmark = pytest.mark.anyio

SONGS, ADMIN = RouteRule(Need.SCOPE, "stems"), RouteRule(Need.ADMIN)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuers.running() as issuer:
        issuer.add("one")
        yield issuer


def built(directory: Path, **settings: Any) -> Access:
    given = Settings(data_dir=directory, **settings)
    return access.built(given, kernel.build(given), ("stems",))


def request(token: str) -> Scope:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": "GET", "headers": headers, "path": "/jobs"}


async def test_a_token_of_the_issuer_comes_in_but_does_not_administer(
    tmp_path: Path, issuer: Issuer
) -> None:
    found = built(tmp_path, jwks_url=issuer.url, allow_private_jwks=True)
    assert not await found.door.is_open()
    token = issuer.token("one", claims_at(datetime.now(UTC)))
    admission = await found.door.admit(request(token), SONGS)
    assert admission.client.tenant == "user-7"
    assert admission.client.credential == "token:user-7"
    with pytest.raises(Forbidden):
        await found.door.admit(request(token), ADMIN)
    assert [len(each.background) for each in found.parts] == [1, 0]


async def test_issuer_audience_tenant_and_scopes_are_those_of_the_settings(
    tmp_path: Path, issuer: Issuer
) -> None:
    found = built(
        tmp_path,
        better_auth_url=issuer.address,
        allow_private_jwks=True,
        jwt_issuer="https://app.example",
        jwt_audience="stems",
        jwt_tenant_claim="org",
        jwt_scope_claim="scope",
        jwt_leeway_seconds=0,
    )
    now = datetime.now(UTC)
    good = {"iss": "https://app.example", "aud": "stems", "org": "acme"}
    claims = claims_at(now, **good, scope="openid admin")
    admission = await found.door.admit(request(issuer.token("one", claims)), ADMIN)
    assert admission.client.tenant == "acme"
    for changes in ({"iss": "x"}, {"aud": "x"}, {"exp": int(now.timestamp()) - 1}):
        token = issuer.token("one", {**claims, **changes})
        with pytest.raises(Unauthorized):
            await found.door.admit(request(token), SONGS)


async def test_without_an_issuer_a_token_is_refused_where_there_are_keys(
    tmp_path: Path, issuer: Issuer
) -> None:
    found = built(tmp_path, admin_key="k" * 32)
    assert not any(each.background for each in found.parts)
    token = issuer.token("one", claims_at(datetime.now(UTC)))
    with pytest.raises(Unauthorized, match="not an API key"):
        await found.door.admit(request(token), SONGS)


async def test_a_token_for_a_proxy_is_ignored_where_access_is_open(
    tmp_path: Path, issuer: Issuer
) -> None:
    found = built(tmp_path)
    token = issuer.token("one", claims_at(datetime.now(UTC)))
    admission = await found.door.admit(request(token), SONGS)
    assert admission.client.tenant == ""


async def test_a_secret_alone_verifies_nothing_and_is_warned_of(
    tmp_path: Path,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    built(tmp_path)
    assert caplog.text == ""
    monkeypatch.setenv("JWT_SECRET_KEY", "change-me")
    found = built(tmp_path)
    assert "JWT_SECRET_KEY is set but verifies nothing" in caplog.text
    assert "set BETTER_AUTH_URL or JWKS_URL" in caplog.text
    assert "change-me" not in caplog.text
    assert await found.door.is_open()
    caplog.clear()
    built(tmp_path, jwks_url=issuer.url, allow_private_jwks=True)
    assert caplog.text == ""
