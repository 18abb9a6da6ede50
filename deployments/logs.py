"""Configure the logging of replicas."""

import logging

from deployments import console
from serve_app.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send the logs of `serve_app` and `deployments` to the handlers of Ray Serve.

    If the server has a terminal, it shows the most important records too.
    """
    serve_logger = logging.getLogger("ray.serve")
    handlers = [*serve_logger.handlers, *console.handlers()]
    for name in ("serve_app", "deployments"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.log_level.upper())
        logger.handlers = handlers
        logger.propagate = False
