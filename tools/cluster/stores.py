"""Postgres, S3 and Redis, which all clusters of a trial share."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests import s3
from tests.databases import Postgres
from tests.ports import free_ports
from tools.cluster.balancer import Route

_WAIT_SECONDS = 30.0
_FOLDER = "jobs"


@dataclass(frozen=True)
class Stores:
    """The addresses of the stores, as nodes and clients reach them."""

    database_url: str
    storage: str
    redis_address: str
    redis_password: str
    routes: dict[str, Route]
    ceph_config: Path | None = None

    def free_deleted(self) -> None:
        """Free what was deleted in S3: Ceph keeps it for hours, here in memory."""
        if self.ceph_config is not None:
            command = ["radosgw-admin", "-c", str(self.ceph_config)]
            command += ["gc", "process", "--include-all"]
            subprocess.run(command, check=True, capture_output=True)


@contextmanager
def running(host: str, folder: Path) -> Iterator[Stores]:
    """Run the stores. Nodes reach them on `host` once something serves the routes."""
    postgres_port, s3_port, redis_port = free_ports(3)
    password = secrets.token_hex(16)
    with ExitStack() as stack:
        postgres = Postgres(folder / "postgres")
        stack.callback(postgres.close)
        local_url = stack.enter_context(postgres.new_database())
        server = s3.start(folder / "s3")
        stack.callback(server.close)
        bucket = stack.enter_context(server.new_bucket())
        stack.enter_context(_redis(host, redis_port, password, folder))
        endpoint = f"http://{host}:{s3_port}"
        yield Stores(
            database_url(local_url, host, postgres_port),
            f"s3://{bucket.name}/{_FOLDER}?endpoint_url={endpoint}&region={s3.REGION}",
            f"{host}:{redis_port}",
            password,
            {
                "postgres": Route(postgres_port, postgres_target(local_url)),
                "s3": Route(s3_port, urlsplit(server.url).netloc),
            },
            folder / "s3" / "ceph.conf" if isinstance(server, s3.Ceph) else None,
        )


def database_url(local_url: str, host: str, port: int) -> str:
    """Return the address of a local database behind a port of `host`."""
    parts = urlsplit(local_url)
    return f"postgresql://{parts.username}@{host}:{port}{parts.path}"


def postgres_target(local_url: str) -> str:
    """Return where a Postgres that listens on this machine only listens."""
    parts = urlsplit(local_url)
    sockets = parse_qs(parts.query).get("host")
    if sockets is None:
        return f"{parts.hostname}:{parts.port or 5432}"
    return f"unix@{sockets[0]}/.s.PGSQL.{parts.port or 5432}"


@contextmanager
def _redis(host: str, port: int, password: str, folder: Path) -> Iterator[None]:
    """Run Redis, which keeps everything in memory."""
    config, log_file = folder / "redis.conf", folder / "redis.log"
    # In a file, so that no list of processes shows the password.
    config.touch(mode=0o600)
    config.write_text(
        f"bind {host}\nport {port}\nrequirepass {password}\n"
        f'save ""\nappendonly no\ndir {folder}\n'
    )
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            ["redis-server", str(config)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for_redis(log_file, process)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for_redis(log: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while "Ready to accept connections" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Redis did not start: {log.read_text()}")
        time.sleep(0.1)
