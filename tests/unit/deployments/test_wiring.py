"""The settings choose the database, and the hosts that webhooks may be sent to."""

import asyncio
from pathlib import Path

import pytest

from deployments.wiring import (
    database,
    now,
    webhook_check,
    webhook_sender,
)
from serve_app.database import Database
from serve_app.errors import RefusedUrl
from serve_app.settings import Settings
from serve_app.webhooks import signing
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Sender
from serve_app.webhooks.target import Webhook
from tests.jobs import new_job, new_store
from tests.unit.webhooks.receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one
OTHER = "whsec_" + "AAAA" * 8


def test_webhooks_are_taken_once_there_is_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert webhook_check(Settings()) is None
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", f"{OTHER}, {SECRET}")
    check = webhook_check(Settings())
    assert check is not None
    check("https://example.com/hook")
    for url in ("http://example.com/", "https://127.0.0.1/", "https://localhost:1/"):
        with pytest.raises(RefusedUrl):
            check(url)


def test_the_hosts_of_webhooks_can_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", SECRET)
    monkeypatch.setenv("STEMSERVE_WEBHOOK_HOSTS", "example.com, *.example.com")
    check = webhook_check(Settings())
    assert check is not None
    check("https://api.example.com/hook")
    with pytest.raises(RefusedUrl, match="not one that this server allows"):
        check("https://example.org/hook")


def test_for_local_work_private_addresses_are_taken() -> None:
    check = webhook_check(
        Settings(webhook_secrets=(SECRET,), allow_private_webhooks=True)
    )
    assert check is not None
    check("http://127.0.0.1:8787/")


@pytest.mark.parametrize("secrets", ["hunter2", f"{SECRET} hunter2", "whsec_hunter2"])
def test_a_wrong_secret_is_refused_at_start_and_not_repeated(secrets: str) -> None:
    with pytest.raises(ValueError, match=r"STEMSERVE_WEBHOOK_SECRETS.*24") as caught:
        webhook_check(Settings(webhook_secrets=secrets))
    assert "hunter2" not in str(caught.value)


def test_more_than_two_secrets_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="at most 2"):
        webhook_check(Settings(webhook_secrets=f"{SECRET},{OTHER},{OTHER}"))


@pytest.mark.parametrize("is_private", [False, True])
def test_what_leaves_the_outbox_comes_signed_where_it_may_go(
    tmp_path: Path, is_private: bool
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        webhook_secrets=(OTHER, SECRET),
        allow_private_webhooks=is_private,
    )
    with database(settings) as shared, Receiver("127.0.0.1") as receiver:
        outbox = Outbox(shared, now)
        store = new_store(shared, now, outbox.post)
        store.add(new_job(webhook=Webhook(receiver.url)))
        store.cancel("a")
        asyncio.run(_sent(webhook_sender(settings, outbox), outbox))
        [delivery] = outbox.of_job("a")
        if not is_private:
            assert "is not an https:// URL" in (delivery.log[0].error or "")
            assert receiver.received == []
            return
        [request] = receiver.received
        for secret in (SECRET, OTHER):
            key = signing.key_of(secret)
            signing.verify([key], request.headers, request.body, now())


async def _sent(sender: Sender, outbox: Outbox) -> None:
    """Run `sender` until the first attempt is recorded."""
    loop = asyncio.create_task(sender.run_forever())
    async with asyncio.timeout(20):
        while not outbox.of_job("a")[0].log:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.wait([loop])


@pytest.mark.parametrize(
    ("settings", "is_warned"),
    [
        ({}, False),
        ({"webhook_secrets": SECRET}, True),
        ({"webhook_secrets": SECRET, "public_url": "https://a.example"}, False),
    ],
)
def test_webhooks_without_a_public_url_are_warned_of_at_start(
    settings: dict[str, str],
    is_warned: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") as jobs:
        webhook_sender(Settings(**settings), Outbox(jobs, now))
    assert ("STEMSERVE_PUBLIC_URL" in caplog.text) is is_warned
