"""Which adapters the settings choose."""

from datetime import UTC, datetime

from serve_app.jobs.store import JobStore
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Storage


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def job_store(settings: Settings) -> JobStore:
    """Return the job store that `settings` name."""
    if settings.database_url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    return JobStore(settings.effective_database_url, now)


def file_storage(settings: Settings) -> Storage:
    """Return the store of files that `settings` name."""
    return LocalStorage(settings.storage_dir)
