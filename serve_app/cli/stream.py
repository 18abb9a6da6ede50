"""`stemserve stream`: the process that streams the archive's media, without Ray."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from serve_app.archive.http.streaming import app, server
from serve_app.archive.media import MediaStore
from serve_app.archive.old_tables import connect
from serve_app.archive.old_tables.lookup import Lookup
from serve_app.archive.old_tables.tables import OldTables
from serve_app.archive.settings_rules import RULES
from serve_app.archive.stores import MediaStores
from serve_app.cli.configuration import read_settings, settings_of
from serve_app.database import Database
from serve_app.errors import InvalidInput
from serve_app.settings import Settings
from serve_app.telemetry.json_lines import ContextFilter, JsonLines

_LINE = "%(asctime)s %(levelname)s %(message)s"


def run(host: str, port: int | None, config: Path | None) -> None:
    """Serve until SIGINT or SIGTERM; streams in flight get a moment to end."""
    settings = read_settings(settings_of(config), RULES)
    _configure_logging(settings)
    stores = MediaStores(settings)
    with Database(settings.effective_database_url) as database:
        media = MediaStore(database, _now, stores.names)
        chosen = settings.archive_port if port is None else port
        application = app.build(media, stores, settings, _old_media(settings))
        server.run(server.configured(application, host, chosen))


def _old_media(settings: Settings) -> Lookup | None:
    """Return what finds media in the old API's tables, if the settings name them."""
    try:
        tables = connect.connect(settings)
    except ValueError as err:
        raise InvalidInput(f"{err}.") from err
    return None if tables is None else Lookup(OldTables(tables, _now))


def _now() -> datetime:
    return datetime.now(UTC)


def _configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE))
    if settings.log_format == "json":
        handler.addFilter(ContextFilter())
        handler.setFormatter(JsonLines({"process": "stream"}))
    for name in ("serve_app", "uvicorn"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.log_level.upper())
        logger.handlers = [handler]
        logger.propagate = False
