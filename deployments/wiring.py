"""Which adapters the settings choose."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from serve_app.database import Database
from serve_app.security import urls
from serve_app.security.asking import Asker, CheckedNetwork
from serve_app.security.urls import UrlRules
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Storage
from serve_app.storage.sharded import ShardedStorage
from serve_app.webhooks import signing
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Sender

_S3_OPTIONS = {"endpoint_url", "region"}
# While receivers change over from one to the other.
_MOST_WEBHOOK_SECRETS = 2


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def database(settings: Settings) -> Database:
    """Return the database that `settings` name."""
    return Database(settings.effective_database_url)


def file_storage(settings: Settings) -> Storage:
    """Return the store of files that `settings` name; ValueError if they name none."""
    # A store keeps its place among several as long as it keeps its name.
    stores = {
        place.partition("?")[0]: _store(place) for place in settings.effective_storage
    }
    if len(stores) == 1:
        return next(iter(stores.values()))
    salt = settings.storage_salt.get_secret_value().encode()
    if not salt:
        raise ValueError("STEMSERVE_STORAGE names several stores: set _STORAGE_SALT")
    return ShardedStorage(stores, salt, settings.storage_copies)


def webhook_sender(settings: Settings, outbox: Outbox) -> Sender:
    """Return what sends the messages in `outbox`; ValueError for a wrong secret."""
    is_private = settings.allow_private_webhooks
    network = CheckedNetwork(is_allowed=lambda _: is_private)
    asker = Asker(_webhook_rules(settings), network)
    return Sender(outbox, asker, _webhook_keys(settings), now)


def webhook_check(settings: Settings) -> Callable[[str], object] | None:
    """Return what raises RefusedUrl for addresses that no webhook may be sent to.

    None when there is no secret to sign with; ValueError for a wrong one.
    """
    if not _webhook_keys(settings):
        return None
    return partial(urls.checked, rules=_webhook_rules(settings))


def _webhook_rules(settings: Settings) -> UrlRules:
    is_private = settings.allow_private_webhooks
    schemes = ("https", "http") if is_private else ("https",)
    return UrlRules(schemes, settings.webhook_hosts, has_private=is_private)


def _webhook_keys(settings: Settings) -> list[bytes]:
    secrets = settings.webhook_secrets
    if len(secrets) > _MOST_WEBHOOK_SECRETS:
        raise ValueError(
            f"STEMSERVE_WEBHOOK_SECRETS: give at most {_MOST_WEBHOOK_SECRETS}, the new "
            "one first"
        )
    try:
        return [signing.key_of(secret.get_secret_value()) for secret in secrets]
    except ValueError as err:
        raise ValueError(f"STEMSERVE_WEBHOOK_SECRETS: {err}") from err


def _store(place: str) -> Storage:
    if "://" not in place:
        return LocalStorage(Path(place))
    address = urlsplit(place)
    options = dict(parse_qsl(address.query))
    if address.scheme != "s3" or not address.netloc or set(options) - _S3_OPTIONS:
        raise ValueError(
            f"STEMSERVE_STORAGE: {place.partition('?')[0]} is neither a directory nor "
            f"s3://bucket/folder with at most {' and '.join(sorted(_S3_OPTIONS))}"
        )
    # boto3 takes a third of a second to import: only those who use it pay for it.
    from serve_app.storage.s3 import Bucket, S3Storage

    return S3Storage(Bucket(address.netloc, address.path.strip("/"), **options))
