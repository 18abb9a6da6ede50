"""Keeps the ports and files of a server on this machine from everybody else."""

import atexit
import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from serve_app.settings import Settings

logger = logging.getLogger(__name__)

AUTH_MODE = "RAY_AUTH_MODE"
TOKEN_MODE = "token"  # noqa: S105  a mode, not a secret

_ENVIRONMENT = {
    # Whatever connects to one of Ray's ports must know RAY_AUTH_TOKEN.
    AUTH_MODE: TOKEN_MODE,
    # Ray listens on 127.0.0.1, on Linux too; `replica_ports` has Serve do so.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_PRIVATE_UMASK = 0o077
# What a server makes in its data directory; SQLite adds endings of its own.
_DATA = ("files", "tmp", "jobs.sqlite3*")


def isolate() -> None:
    """Give this process and its children a Ray of their own, and private files.

    Call it before `import ray`, which reads these variables; what the user has set
    them to does not count. The token and the certificate are new for each start. The
    token stands nowhere but in the environment, which other users of the machine can't
    read; without the certificate nobody is told it, nor gets to where it is asked for.
    That lies with its key in a directory of its own, until this process ends.
    """
    # Here, so that a replica, which only warns, does not load it.
    from deployments import certificates

    os.umask(_PRIVATE_UMASK)
    os.environ.update(_ENVIRONMENT)
    directory = Path(tempfile.mkdtemp(prefix="stemserve-tls-"))
    os.environ.update(certificates.environment(directory))
    atexit.register(forget)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def forget() -> None:
    """Remove the certificate; Ray's processes can make no connections any more."""
    directory = Path(os.environ["RAY_TLS_SERVER_KEY"]).parent
    shutil.rmtree(directory, ignore_errors=True)


def warn_of_open_ray() -> None:
    """Log a warning where Ray asks whoever connects to it for no token."""
    if os.environ.get(AUTH_MODE, "").lower() != TOKEN_MODE:
        logger.warning(
            "Ray asks for no token: whoever reaches this cluster's ports can run code "
            "in it. Start Ray with RAY_AUTH_MODE=token on every node: see the README, "
            'under "Who can reach it".'
        )


def close_data(settings: Settings) -> None:
    """Take from others what an earlier version let them read in the data directory."""
    for pattern in _DATA:
        for path in settings.data_dir.glob(pattern):
            if path.stat().st_uid == os.geteuid():
                path.chmod(path.stat().st_mode & ~_PRIVATE_UMASK)


def haproxy_files(directory: Path) -> dict[str, str]:
    """Return the variables by which HAProxy keeps its files in `directory`.

    Else they are in /tmp, where each user can write to its socket for administrators.
    """
    return {
        f"RAY_SERVE_HAPROXY_{name}": str(directory / file)
        for name, file in (
            ("CONFIG_FILE_LOC", "haproxy.cfg"),
            ("SOCKET_PATH", "admin.sock"),
            ("METRICS_SOCKET_PATH", "metrics.sock"),
            ("SERVER_STATE_BASE", ""),
            ("SERVER_STATE_FILE", "server-state"),
        )
    }
