"""The old API's tables as the settings name them."""

from serve_app.archive.old_tables.port import Tables
from serve_app.settings import Settings


def connect(settings: Settings) -> Tables | None:
    """Return the tables, or None if no settings name them.

    Directly if there is a URL of the database: that needs no detour, and shows the
    constraints. Raises ValueError if that URL is invalid, or the archive has no public
    one.
    """
    if not settings.archive_url and _are_named(settings):
        raise ValueError(
            "STEMSERVE_ARCHIVE_URL is required with the old API's tables: their "
            "`hf_direct_url` and `stream_url` must be absolute, as in "
            "https://stream.example.com"
        )
    # Imported here: each needs packages that installations without it lack.
    if url := settings.archive_database_url.get_secret_value():
        from serve_app.archive.old_tables.postgres import PostgresTables

        return PostgresTables(url)
    key = settings.archive_supabase_key.get_secret_value()
    if settings.archive_supabase_url and key:
        from serve_app.archive.old_tables.rest import RestTables

        return RestTables(settings.archive_supabase_url, key)
    return None


def _are_named(settings: Settings) -> bool:
    return bool(
        settings.archive_database_url
        or (settings.archive_supabase_url and settings.archive_supabase_key)
    )
