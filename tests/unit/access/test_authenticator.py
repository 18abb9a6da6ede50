"""Whose credentials are whose."""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from serve_app.access import api_key
from serve_app.access.api_key import generate
from serve_app.access.authenticator import Authenticator
from serve_app.access.identity import ANY_TENANT, Identity
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import KeyStore, NewKey
from serve_app.database import Database
from serve_app.errors import DatabaseUnavailable, Unauthorized
from serve_app.usage.quotas import Quotas
from tests.jobs import ManualClock
from tests.unit.access.gate import ADMIN_KEY, SECRET

pytestmark = pytest.mark.anyio

SCOPES = frozenset({"stems:read"})


class Tokens:
    """Stands in for the check of tokens: knows one."""

    async def identify(self, token: str) -> Identity:
        """Return the owner of the one token."""
        if token != "a.b.c":  # noqa: S105
            raise Unauthorized("Unknown token.")
        return Identity("user-7", "token:user-7", SCOPES)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(
    tmp_path: Path, empty_database: Path, clock: ManualClock
) -> Iterator[KeyStore]:
    path = shutil.copy(empty_database, tmp_path / "jobs.sqlite3")
    with Database(f"sqlite:///{path}") as database:
        yield KeyStore(database, clock, SECRET)


def authenticator(
    keys: KeyStore,
    clock: ManualClock,
    tokens: Tokens | None = None,
    admin_key: str = "",
) -> Authenticator:
    return Authenticator(KeyCache(keys, lambda: 0.0), clock, tokens, admin_key)


async def refusal(checked: Authenticator, credential: str) -> str:
    with pytest.raises(Unauthorized) as caught:
        await checked.identify(credential)
    assert credential not in caught.value.detail or not credential
    return caught.value.detail


async def test_a_key_identifies_its_tenant(keys: KeyStore, clock: ManualClock) -> None:
    quotas, ends_at = Quotas(jobs_queued=3), clock() + timedelta(days=1)
    key, text = keys.create(NewKey("app", "acme", SCOPES, ends_at, quotas))
    found = await authenticator(keys, clock).identify(text.text)
    assert found == Identity("acme", f"key:{key.id}", SCOPES, ends_at, quotas)


async def test_another_key_with_the_same_id_is_refused(
    keys: KeyStore, clock: ManualClock
) -> None:
    """An id is no secret: it is in logs and lists."""
    key, _ = keys.create(NewKey("app", "acme", SCOPES))
    forged = generate()
    body = forged.text.replace(forged.id, key.id)[: -len("check1")]
    text = body + api_key._check(body)
    unknown = await refusal(authenticator(keys, clock), generate().text)
    assert await refusal(authenticator(keys, clock), text) == unknown


async def test_a_revoked_and_an_expired_key_are_told_apart(
    keys: KeyStore, clock: ManualClock
) -> None:
    key, text = keys.create(NewKey("app", "acme", SCOPES))
    keys.revoke(key.id)
    assert "revoked" in await refusal(authenticator(keys, clock), text.text)
    ends_at = clock() + timedelta(seconds=60)
    _, text = keys.create(NewKey("app", "acme", SCOPES, ends_at))
    checked = authenticator(keys, clock)
    await checked.identify(text.text)
    # A cached key expires too, to the second.
    clock.advance(60)
    assert "expired at 2026-11-20 12:01 UTC" in await refusal(checked, text.text)


async def test_keys_of_another_server_are_refused(
    keys: KeyStore, clock: ManualClock
) -> None:
    _, text = keys.create(NewKey("app", "acme", SCOPES))
    other = KeyStore(keys._database, clock, b"another secret")
    await refusal(authenticator(other, clock), text.text)


async def test_typing_errors_are_found_without_the_database(
    keys: KeyStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "find", None)
    text = generate().text
    for wrong in (text[:-1], text[:-1] + "!", "stemserve_"):
        assert "typing error" in await refusal(authenticator(keys, clock), wrong)


async def test_the_operators_key_may_do_everything(
    keys: KeyStore, clock: ManualClock
) -> None:
    checked = authenticator(keys, clock, admin_key=ADMIN_KEY)
    found = await checked.identify(ADMIN_KEY)
    assert found == Identity(ANY_TENANT, "admin", frozenset({"admin"}))
    for wrong in (ADMIN_KEY[:-1], f"{ADMIN_KEY}x", ADMIN_KEY.upper()):
        await refusal(checked, wrong)


async def test_an_empty_operators_key_is_nobodys(
    keys: KeyStore, clock: ManualClock
) -> None:
    await refusal(authenticator(keys, clock), "")


async def test_what_is_no_key_is_a_token_where_there_are_tokens(
    keys: KeyStore, clock: ManualClock
) -> None:
    with_tokens = authenticator(keys, clock, Tokens())
    assert (await with_tokens.identify("a.b.c")).tenant == "user-7"
    await refusal(with_tokens, "a.b.d")
    assert "not an API key" in await refusal(authenticator(keys, clock), "a.b.c")


async def test_a_megabyte_is_not_read(keys: KeyStore, clock: ManualClock) -> None:
    checked = authenticator(keys, clock, Tokens(), ADMIN_KEY)
    assert "at most 8192" in await refusal(checked, "x" * 1_000_000)


async def test_access_is_configured_by_any_credential(
    keys: KeyStore, clock: ManualClock
) -> None:
    assert await authenticator(keys, clock, Tokens()).is_configured()
    assert await authenticator(keys, clock, admin_key=ADMIN_KEY).is_configured()
    assert not await authenticator(keys, clock).is_configured()
    key, _ = keys.create(NewKey("app", "acme", SCOPES))
    keys.revoke(key.id)
    # The last revoked key must not open the server again.
    assert await authenticator(keys, clock).is_configured()


async def test_a_running_request_is_checked_by_the_keys_id(
    keys: KeyStore, clock: ManualClock
) -> None:
    key, _ = keys.create(NewKey("app", "acme", SCOPES))
    await authenticator(keys, clock).check_key(key.id)
    keys.revoke(key.id)
    with pytest.raises(Unauthorized):
        await authenticator(keys, clock).check_key(key.id)
    with pytest.raises(Unauthorized):
        await authenticator(keys, clock).check_key("unknown")


async def test_without_the_database_no_key_is_valid(
    keys: KeyStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = keys.create(NewKey("app", "acme", SCOPES))

    def fail(_: str) -> None:
        raise DatabaseUnavailable("It is down.")

    monkeypatch.setattr(keys, "find", fail)
    with pytest.raises(DatabaseUnavailable):
        await authenticator(keys, clock).identify(text.text)
    await asyncio.sleep(0)
