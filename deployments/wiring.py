"""Which adapters the settings choose."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from serve_app.database import Database
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Storage
from serve_app.storage.sharded import ShardedStorage

_S3_OPTIONS = {"endpoint_url", "region"}


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
