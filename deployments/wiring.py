"""Which adapters the settings choose."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from serve_app.database import Database
from serve_app.inputs import Buckets, Inputs
from serve_app.security import urls
from serve_app.security.asking import Asker, CheckedNetwork
from serve_app.security.download import Limits
from serve_app.security.urls import SCHEMES, UrlRules
from serve_app.settings import Settings
from serve_app.storage import places
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import DirectUploads, Storage
from serve_app.storage.sharded import ShardedStorage
from serve_app.webhooks import signing
from serve_app.webhooks.outbox import Outbox
from serve_app.webhooks.sender import Sender

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


def direct_uploads(settings: Settings) -> DirectUploads | None:
    """Return where clients can send files themselves: the first bucket, if any."""
    for place in settings.effective_storage:
        if not places.is_directory(place):
            from serve_app.storage.uploads import S3Uploads

            bucket = places.bucket(place, "STEMSERVE_STORAGE")
            return S3Uploads(bucket, settings.upload_seconds)
    return None


def inputs(settings: Settings) -> Inputs:
    """Return what fetches songs that clients give the addresses of."""
    limits = Limits(settings.max_upload_bytes, settings.input_url_seconds)
    return Inputs(_web(settings), _buckets(settings), limits)


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


def _web(settings: Settings) -> Asker | None:
    if not settings.input_urls:
        return None
    if not set(settings.input_url_schemes) <= SCHEMES:
        raise ValueError(f"STEMSERVE_INPUT_URL_SCHEMES can be {sorted(SCHEMES)} only")
    return Asker(UrlRules(settings.input_url_schemes, settings.input_url_hosts))


def _buckets(settings: Settings) -> Buckets | None:
    if not settings.input_buckets:
        return None
    from serve_app.storage.inputs import InputBuckets

    return InputBuckets(
        [
            places.bucket(place, "STEMSERVE_INPUT_BUCKETS")
            for place in settings.input_buckets
        ]
    )


def _store(place: str) -> Storage:
    if places.is_directory(place):
        return LocalStorage(Path(place))
    # boto3 takes a third of a second to import: only those who use it pay for it.
    from serve_app.storage.s3 import S3Storage

    return S3Storage(places.bucket(place, "STEMSERVE_STORAGE"))
