"""Which adapters the settings choose."""

from datetime import UTC, datetime
from pathlib import Path

from serve_app.database import Database
from serve_app.settings import Settings
from serve_app.storage import places
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Storage
from serve_app.storage.sharded import ShardedStorage


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
    if places.is_directory(place):
        return LocalStorage(Path(place))
    # boto3 takes a third of a second to import: only those who use it pay for it.
    from serve_app.storage.s3 import S3Storage

    return S3Storage(places.bucket(place, "STEMSERVE_STORAGE"))
