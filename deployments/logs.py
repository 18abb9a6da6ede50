"""Logging of the replicas: to Ray Serve's own handlers, at our level."""

import logging

from deployments import console
from serve_app.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send what `serve_app` and `deployments` log where Serve's own lines go.

    What a person should see goes to the terminal of the server as well, if it has one.
    """
    serve_logger = logging.getLogger("ray.serve")
    handlers = [*serve_logger.handlers, *console.handlers()]
    for name in ("serve_app", "deployments"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.log_level.upper())
        logger.handlers = handlers
        logger.propagate = False
