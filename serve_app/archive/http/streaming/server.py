"""The server of the process that streams."""

import ctypes
import platform
from socket import socket

import uvicorn
from starlette.types import ASGIApp

# Of streams in flight when the process is told to stop. Then their players continue by
# a range, from another process or from the next one.
_GRACE_SECONDS = 8
# mallopt(3), <malloc.h>.
_M_ARENA_MAX = -8


def configured(application: ASGIApp, host: str, port: int) -> uvicorn.Config:
    """Return how to serve the application; port 0 is any free one."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        # The application reads the headers of trusted proxies, and logs requests.
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def run(config: uvicorn.Config, sockets: list[socket] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; streams in flight get a moment to end."""
    _share_one_heap()
    uvicorn.Server(config).run(sockets)


def _share_one_heap() -> None:
    """Have all threads allocate from one heap, where the C library is glibc's.

    By default each thread that reads has a heap of its own, which keeps what the chunks
    of its streams took: twice as much memory for many streams, and slower.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
