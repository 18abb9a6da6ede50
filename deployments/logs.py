"""Configure the logging of replicas."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from deployments import console
from serve_app.access import audit
from serve_app.settings import Settings

_SERVE = "ray.serve"


def configure_logging(settings: Settings) -> None:
    """Send the logs of `serve_app` and `deployments` to the handlers of Ray Serve.

    If the server has a terminal, it shows the most important records too.
    """
    serve_logger = logging.getLogger(_SERVE)
    handlers = [*serve_logger.handlers, *console.handlers()]
    for name in ("serve_app", "deployments"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.log_level.upper())
        logger.handlers = handlers
        logger.propagate = False


def configure_audit_log() -> None:
    """Send the audit log to the server's output, and to a file beside Serve's log."""
    audit.configure(console.output(), *map(_beside, _log_files()))


def _log_files() -> list[RotatingFileHandler]:
    """Return the log file of this replica; none in a process that Serve didn't start.

    Serve buffers its lines in another handler.
    """
    handlers = logging.getLogger(_SERVE).handlers
    targets = [getattr(each, "target", each) for each in handlers]
    return [each for each in targets if isinstance(each, RotatingFileHandler)]


def _beside(log: RotatingFileHandler) -> RotatingFileHandler:
    path = Path(log.baseFilename)
    return RotatingFileHandler(
        path.with_name(f"audit_{path.name}"),
        maxBytes=log.maxBytes,
        backupCount=log.backupCount,
        # Most servers of one's own never write a line.
        delay=True,
    )
