"""The middlewares of Serve's proxies, which also run while no application does.

Serve calls `middlewares` in each proxy if the environment of its cluster has
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deployments.gate:middlewares`.
"""

from typing import Any

from deployments import http_protocol, memory
from serve_app.api import gate, pieces
from serve_app.settings import Settings

VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
IMPORT_PATH = f"{__name__}:middlewares"


def middlewares() -> list[Any]:
    """Return the middlewares of a proxy; the environment sets the allowed origins.

    Serve calls this before the proxy listens, so it also installs the HTTP protocol.
    """
    http_protocol.install()
    memory.keep_giving_back()
    return [gate.middleware(Settings().cors_origins), pieces.middleware()]
