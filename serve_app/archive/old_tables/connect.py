"""The old API's tables as the settings name them."""

from serve_app.archive.old_tables.port import Tables
from serve_app.settings import Settings


def connect(settings: Settings) -> Tables | None:
    """Return the tables, or None if no settings name them.

    Directly if there is a URL of the database: that needs no detour, and shows the
    constraints. Raises ValueError if that URL is invalid.
    """
    # Imported here: each needs packages that installations without it lack.
    if url := settings.archive_database_url.get_secret_value():
        from serve_app.archive.old_tables.postgres import PostgresTables

        return PostgresTables(url)
    key = settings.archive_supabase_key.get_secret_value()
    if settings.archive_supabase_url and key:
        from serve_app.archive.old_tables.rest import RestTables

        return RestTables(settings.archive_supabase_url, key)
    return None
