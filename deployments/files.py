"""Create the file stores, direct uploads, and inputs that the settings name."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from serve_app.database import engine
from serve_app.outbound.client import OutboundClient
from serve_app.outbound.download import DownloadLimits
from serve_app.outbound.urls import SCHEMES, UrlRules
from serve_app.settings import Settings
from serve_app.stems.remote_songs import Buckets, Inputs
from serve_app.storage import addresses
from serve_app.storage.disk_reserve import DiskReserve
from serve_app.storage.local import LocalStorage
from serve_app.storage.objects import DirectoryObjects, Objects
from serve_app.storage.observed import ObservedStorage, OnError
from serve_app.storage.port import DirectUploads, Storage
from serve_app.storage.sharded import ShardedStorage


def file_storage(settings: Settings, on_error: OnError | None = None) -> Storage:
    """Return the file store that `settings` name; ValueError if they are not valid.

    `on_error` gets the name of each operation that fails.
    """
    # Keys are distributed among stores by their names, without their options.
    stores = {
        place.partition("?")[0]: _observed(_store(place), on_error)
        for place in settings.effective_storage
    }
    if len(stores) == 1:
        return next(iter(stores.values()))
    salt = settings.storage_salt.get_secret_value().encode()
    if not salt:
        raise ValueError(
            "STEMSERVE_STORAGE lists several stores: set STEMSERVE_STORAGE_SALT"
        )
    return ShardedStorage(stores, salt, settings.storage_copies)


def _observed(store: Storage, on_error: OnError | None) -> Storage:
    return store if on_error is None else ObservedStorage(store, on_error)


def disk_reserve(settings: Settings) -> DiskReserve:
    """Return the free space to keep on this machine's disks that are written to."""
    directories = {"working_files": settings.working_dir}
    place, *others = settings.effective_storage
    # With several stores, the others take over from a full one.
    if addresses.is_directory(place) and not others:
        directories["stored_files"] = Path(place)
    database = engine.parsed(settings.effective_database_url)
    if database.get_backend_name() == "sqlite":
        directories["database"] = Path(str(database.database)).parent
    return DiskReserve(directories, settings.disk_reserve_bytes)


def link_origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins of signed URLs of stems, or none if there are no such URLs."""
    if not settings.download_link_seconds:
        return ()
    stores = map(_store, settings.effective_storage)
    links = (store.link("stems/any", "", "", 1) for store in stores)
    origins = (urlsplit(link)[:2] for link in links if link is not None)
    return tuple(dict.fromkeys(f"{scheme}://{host}" for scheme, host in origins))


def direct_uploads(settings: Settings) -> DirectUploads | None:
    """Return direct uploads to the first bucket, or None if there is no bucket."""
    for place in settings.effective_storage:
        if not addresses.is_directory(place):
            from serve_app.storage.uploads import S3Uploads

            bucket = addresses.bucket(place, "STEMSERVE_STORAGE")
            return S3Uploads(bucket, settings.upload_seconds)
    return None


def inputs(settings: Settings) -> Inputs:
    """Return the inputs that fetch songs by URL."""
    limits = DownloadLimits(settings.max_upload_bytes, settings.input_url_seconds)
    return Inputs(_web(settings), _buckets(settings), limits)


def _web(settings: Settings) -> OutboundClient | None:
    if not settings.input_urls:
        return None
    if not set(settings.input_url_schemes) <= SCHEMES:
        raise ValueError(
            f"STEMSERVE_INPUT_URL_SCHEMES may list {', '.join(sorted(SCHEMES))}, "
            f"got {', '.join(settings.input_url_schemes)}"
        )
    return OutboundClient(
        UrlRules(settings.input_url_schemes, settings.input_url_hosts)
    )


def _buckets(settings: Settings) -> Buckets | None:
    if not settings.input_buckets:
        return None
    from serve_app.storage.inputs import InputBuckets

    return InputBuckets(
        [
            addresses.bucket(place, "STEMSERVE_INPUT_BUCKETS")
            for place in settings.input_buckets
        ]
    )


def bucket_objects(settings: Settings) -> Objects:
    """Return the bucket of the library's files, or its directory on this machine."""
    if not settings.library_bucket:
        return DirectoryObjects(settings.data_dir / "library")
    from serve_app.storage.s3_objects import S3Objects

    found = addresses.bucket(
        settings.library_bucket_address, "STEMSERVE_LIBRARY_BUCKET"
    )
    return S3Objects(replace(found, region=found.region or settings.library_region))


def _store(place: str) -> Storage:
    if addresses.is_directory(place):
        return LocalStorage(Path(place))
    # Imported here, because boto3 takes a third of a second.
    from serve_app.storage.s3 import S3Storage

    return S3Storage(addresses.bucket(place, "STEMSERVE_STORAGE"))
