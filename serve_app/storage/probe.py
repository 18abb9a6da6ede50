"""The check that a file store responds."""

from contextlib import suppress

from serve_app.storage.port import Storage


def probe(storage: Storage) -> None:
    """Raise StorageUnavailable unless the store responds."""
    # The file need not exist.
    with suppress(FileNotFoundError):
        storage.stat("health/probe")
