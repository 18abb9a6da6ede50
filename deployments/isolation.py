"""Keep other users and machines out of the ports and files of a local server."""

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
    # Clients of Ray's ports must send RAY_AUTH_TOKEN.
    AUTH_MODE: TOKEN_MODE,
    # Ray then listens on 127.0.0.1, on Linux too; for Serve see `replica_ports`.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_PRIVATE_UMASK = 0o077
# What a server creates in its data directory; SQLite adds suffixes.
_DATA = ("files", "tmp", "jobs.sqlite3*")


def isolate() -> None:
    """Set the environment for a private Ray, and a private umask, for this process.

    Call it before `import ray`, which reads these variables; the user's values are
    replaced. Each start has a new token and a new certificate. The token is only in the
    environment, which other users of the machine can't read. Ray sends it only to
    holders of the certificate, and its gRPC ports accept no other clients. The
    certificate and its key are in a private directory until this process ends.
    """
    # Imported here, because replicas, which only warn, don't need it.
    from deployments import certificates

    os.umask(_PRIVATE_UMASK)
    os.environ.update(_ENVIRONMENT)
    directory = Path(tempfile.mkdtemp(prefix="stemserve-tls-"))
    os.environ.update(certificates.environment(directory))
    atexit.register(forget)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def forget() -> None:
    """Delete the certificate. Ray's processes can't make connections afterwards."""
    directory = Path(os.environ["RAY_TLS_SERVER_KEY"]).parent
    shutil.rmtree(directory, ignore_errors=True)


def warn_of_open_ray() -> None:
    """Log a warning if Ray requires no token."""
    if os.environ.get(AUTH_MODE, "").lower() != TOKEN_MODE:
        logger.warning(
            "Ray requires no token: anyone who can reach the ports of this cluster can "
            "run code in it. Start Ray with RAY_AUTH_MODE=token on every node; see "
            '"Who can reach it" in the README.'
        )


def close_data(settings: Settings) -> None:
    """Make files private that earlier versions left readable in the data directory."""
    for pattern in _DATA:
        for path in settings.data_dir.glob(pattern):
            if path.stat().st_uid == os.geteuid():
                path.chmod(path.stat().st_mode & ~_PRIVATE_UMASK)


def haproxy_files(directory: Path) -> dict[str, str]:
    """Return the variables that have HAProxy keep its files in `directory`.

    By default they are in /tmp, where every user can write to its admin socket.
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
