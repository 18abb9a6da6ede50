"""Configure the logging of replicas."""

import logging
from collections.abc import Iterable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ray import serve
from ray.serve.exceptions import RayServeException

from deployments import console
from serve_app.access import audit
from serve_app.settings import Settings
from serve_app.telemetry.json_lines import ContextFilter, JsonLines

_SERVE = "ray.serve"


def configure_logging(settings: Settings) -> None:
    """Send the logs of `serve_app` and `deployments` to the handlers of Ray Serve.

    If the server has a terminal, it shows the most important records too.
    """
    serve_logger = logging.getLogger(_SERVE)
    if settings.log_format == "json":
        _write_json(serve_logger.handlers)
    handlers = [*serve_logger.handlers, *console.handlers()]
    for name in ("serve_app", "deployments"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.log_level.upper())
        logger.handlers = handlers
        logger.propagate = False


def _write_json(handlers: Iterable[logging.Handler]) -> None:
    """Have these handlers write JSON, Serve's own records too."""
    formatter = JsonLines(process())
    for handler in handlers:
        handler.addFilter(ContextFilter())
        _target(handler).setFormatter(formatter)


def process() -> Mapping[str, str]:
    """Return what identifies this process in logs; nothing outside of a replica."""
    try:
        context = serve.get_replica_context()
    except RayServeException:
        return {}
    return {
        "application": context.app_name,
        "deployment": context.deployment,
        "replica": context.replica_id.unique_id,
    }


def configure_audit_log() -> None:
    """Send the audit log to the server's output, and to a file beside Serve's log."""
    audit.configure(console.output(), *map(_beside, _log_files()))


def _log_files() -> list[RotatingFileHandler]:
    """Return the log file of this replica; none outside of a replica."""
    targets = map(_target, logging.getLogger(_SERVE).handlers)
    return [each for each in targets if isinstance(each, RotatingFileHandler)]


def _target(handler: logging.Handler) -> logging.Handler:
    """Return the handler that writes: Serve buffers lines in another one."""
    target: logging.Handler = getattr(handler, "target", handler)
    return target


def _beside(log: RotatingFileHandler) -> RotatingFileHandler:
    path = Path(log.baseFilename)
    return RotatingFileHandler(
        path.with_name(f"audit_{path.name}"),
        maxBytes=log.maxBytes,
        backupCount=log.backupCount,
        # Most servers of one's own never write a line.
        delay=True,
    )
