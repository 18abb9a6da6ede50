"""Logging of the replicas: to Ray Serve's own handlers, at our level."""

import logging

from serve_app.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send what `serve_app` and `deployments` log where Serve's own lines go."""
    serve_logger = logging.getLogger("ray.serve")
    for name in ("serve_app", "deployments"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.log_level.upper())
        logger.handlers = serve_logger.handlers
        logger.propagate = False
