"""The settings choose the store of files, and whom webhooks may go to."""

import asyncio
from pathlib import Path

import pytest

from deployments.wiring import (
    database,
    direct_uploads,
    file_storage,
    inputs,
    now,
    webhook_check,
    webhook_sender,
)
from serve_app.errors import RefusedUrl, UnreachableUrl
from serve_app.jobs.job import Webhook
from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.s3 import S3Storage
from serve_app.storage.sharded import ShardedStorage
from serve_app.storage.uploads import S3Uploads
from serve_app.webhooks import signing
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Sender
from tests.jobs import new_job
from tests.unit.webhooks.receiver import Receiver


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_files_lie_in_the_data_directory_by_default(tmp_path: Path) -> None:
    store = file_storage(Settings(data_dir=tmp_path))
    assert isinstance(store, LocalStorage)
    assert (tmp_path / "files").is_dir()


def test_a_directory_or_a_bucket_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_STORAGE", str(tmp_path / "elsewhere"))
    assert isinstance(file_storage(Settings()), LocalStorage)
    assert (tmp_path / "elsewhere").is_dir()
    place = "s3://songs/a/b?endpoint_url=http://localhost:1&region=here"
    monkeypatch.setenv("STEMSERVE_STORAGE", place)
    assert isinstance(file_storage(Settings()), S3Storage)


def test_several_are_used_as_one(tmp_path: Path) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"), "s3://three")
    settings = Settings(storage=places, storage_salt="salt")
    assert isinstance(file_storage(settings), ShardedStorage)


def test_several_want_a_salt(tmp_path: Path) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    with pytest.raises(ValueError, match="SALT"):
        file_storage(Settings(storage=places))


@pytest.mark.parametrize(
    "place", ["ftp://host/x", "s3://", "s3:///x", "s3://b?secret=hunter2"]
)
def test_what_is_no_store_is_refused_without_its_secrets(place: str) -> None:
    with pytest.raises(ValueError, match=r"STORAGE.* is no s3://") as caught:
        file_storage(Settings(storage=(place,)))
    assert "hunter2" not in str(caught.value)


def test_files_can_be_sent_directly_where_there_is_a_bucket(tmp_path: Path) -> None:
    assert direct_uploads(Settings(data_dir=tmp_path)) is None
    settings = Settings(storage=(str(tmp_path), "s3://songs"), upload_seconds=60)
    uploads = direct_uploads(settings)
    assert isinstance(uploads, S3Uploads)
    assert uploads.seconds == 60


@pytest.mark.parametrize(
    ("settings", "url", "error", "reason"),
    [
        ({}, "http://example.com/a.mp3", RefusedUrl, "begin with https://"),
        ({}, "https://127.0.0.1/a.mp3", RefusedUrl, "public"),
        ({}, "s3://songs/a.mp3", RefusedUrl, "INPUT_BUCKETS"),
        ({"input_urls": False}, "https://example.com/a", RefusedUrl, "INPUT_URLS"),
        (
            {"input_url_hosts": "*.example.com, example.org"},
            "https://example.com/a.mp3",
            RefusedUrl,
            "not one of the hosts",
        ),
        (
            {"input_url_schemes": "http"},
            "http://nothing.invalid/a.mp3",
            UnreachableUrl,
            "no address",
        ),
        (
            {"input_buckets": "s3://songs/public s3://more"},
            "s3://songs/private/a.mp3",
            RefusedUrl,
            "INPUT_BUCKETS",
        ),
    ],
)
def test_settings_say_where_songs_are_fetched_from(
    tmp_path: Path,
    settings: dict[str, object],
    url: str,
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        inputs(Settings(**settings)).fetch(url, tmp_path / "song", lambda: True)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"input_url_schemes": "https,ftp"}, "STEMSERVE_INPUT_URL_SCHEMES"),
        ({"input_buckets": "songs"}, "STEMSERVE_INPUT_BUCKETS"),
    ],
)
def test_what_nothing_can_be_fetched_from_is_refused_at_start(
    settings: dict[str, object], name: str
) -> None:
    with pytest.raises(ValueError, match=name):
        inputs(Settings(**settings))


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
    with pytest.raises(RefusedUrl, match="not one of the hosts"):
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
        store = JobStore(shared, now, outbox.record)
        store.add(new_job(webhook=Webhook(receiver.url)), max_queued=1)
        store.cancel("a", 1800)
        asyncio.run(_sent(webhook_sender(settings, outbox), outbox))
        [delivery] = outbox.of_job("a")
        if not is_private:
            assert "must begin with https://" in (delivery.log[0].error or "")
            assert receiver.received == []
            return
        [request] = receiver.received
        for secret in (SECRET, OTHER):
            key = signing.key_of(secret)
            signing.verify([key], request.headers, request.body, now())


async def _sent(sender: Sender, outbox: Outbox) -> None:
    """Let `sender` work until the first attempt is written down."""
    loop = asyncio.create_task(sender.run_forever())
    async with asyncio.timeout(20):
        while not outbox.of_job("a")[0].log:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.wait([loop])
