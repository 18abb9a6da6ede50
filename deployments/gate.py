"""The gate in Serve's proxies, which answer before and after the application does.

Serve calls `middlewares` in each proxy where the environment of its cluster has
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deployments.gate:middlewares`.
"""

from typing import Any

from deployments import http_protocol
from serve_app.api import gate, pieces
from serve_app.settings import Settings

VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
IMPORT_PATH = f"{__name__}:middlewares"


def middlewares() -> list[Any]:
    """Return what a proxy wraps itself in; the environment says who may call.

    Called before the proxy begins to listen: it gets our HTTP protocol as well.
    """
    http_protocol.install()
    return [gate.middleware(Settings().cors_origins), pieces.middleware()]
