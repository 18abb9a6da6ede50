"""An S3 server for the tests: Ceph's, where it is installed, and else moto's."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

from serve_app.storage.addresses import Bucket
from tests.ports import free_ports

ACCESS_KEY, SECRET_KEY, REGION = "testkey", "testsecret", "us-east-1"

_SCRIPT = Path(__file__).parents[2] / "shared" / "tools" / "rgw.sh"
_PROGRAMS = ("radosgw", "ceph-mon", "ceph-osd", "curl")
# How often it is tried to start the daemons.
_STARTS = 3


class S3Server:
    """Somewhere to make buckets, with the credentials in the environment.

    `is_strict` is whether it refuses wrong secrets and what has expired, as Amazon
    does: moto doesn't.
    """

    url: str
    is_strict: bool

    def client(self, **credentials: str) -> Any:
        """Return a client, by default with the right credentials."""
        return boto3.client("s3", endpoint_url=self.url, **credentials)

    @contextmanager
    def new_bucket(self) -> Iterator[Bucket]:
        """Make a bucket; delete it with all in it in the end."""
        name = f"test-{uuid4().hex}"
        resource = boto3.resource("s3", endpoint_url=self.url)
        bucket = resource.create_bucket(Bucket=name)
        try:
            yield Bucket(name, endpoint_url=self.url, region=REGION)
        finally:
            bucket.objects.all().delete()
            bucket.delete()

    def close(self) -> None:
        """Stop the server."""
        raise NotImplementedError


class Ceph(S3Server):
    """A RADOS gateway over one monitor and one store in memory."""

    is_strict = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._restarted: subprocess.Popen[bytes] | None = None
        for attempt in range(_STARTS):
            try:
                self.url = self._start()
                return
            except subprocess.SubprocessError:
                self.close()
                if attempt == _STARTS - 1:
                    raise

    def _start(self) -> str:
        """Start the daemons and return the gateway's address.

        `subprocess.SubprocessError` if one didn't answer in time, because the machine
        is busy or somebody took its port.
        """
        gateway, _monitor = free_ports(2)
        command = ["bash", str(_SCRIPT), str(self._directory), str(gateway), "memstore"]
        # Output to a file: the daemons would keep a pipe open for ever.
        log_file = self._directory.parent / f"{self._directory.name}.log"
        with log_file.open("ab") as log:
            subprocess.run(command, stdout=log, stderr=log, timeout=120, check=True)
        return f"http://127.0.0.1:{gateway}"

    def restart(self, pause_seconds: float) -> None:
        """Kill the gateway; some time later start another one on the same store."""
        pids = self._directory / "pids"
        *others, gateway = pids.read_text().split()
        os.kill(int(gateway), signal.SIGKILL)
        self._reap()
        time.sleep(pause_seconds)
        config = self._directory / "ceph.conf"
        command = ["radosgw", "-f", "-n", "client.rgw", "-c", str(config)]
        with (self._directory / "rgw.out").open("ab") as log:
            self._restarted = subprocess.Popen(command, stdout=log, stderr=log)
        pids.write_text("\n".join([*others, str(self._restarted.pid)]))

    def _reap(self) -> None:
        """Wait for a gateway of ours that was killed."""
        if self._restarted is not None:
            self._restarted.wait()

    def close(self) -> None:
        """Kill the daemons."""
        pids = self._directory / "pids"
        for pid in pids.read_text().split() if pids.exists() else []:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self._reap()
        shutil.rmtree(self._directory, ignore_errors=True)


class Moto(S3Server):
    """A stand-in that believes every signature."""

    is_strict = False

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def close(self) -> None:
        """Stop it."""
        self._server.stop()


def choice() -> str:
    """Say which server `start` will start, and what that means."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if not _SCRIPT.is_file():
        missing.append(str(_SCRIPT))
    if missing:
        return f"moto, which can't test security: {', '.join(missing)} missing"
    return "Ceph RGW"


def start(directory: Path) -> S3Server:
    """Start the best server that this machine has."""
    os.environ["AWS_ACCESS_KEY_ID"] = ACCESS_KEY
    os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET_KEY
    os.environ["AWS_DEFAULT_REGION"] = REGION
    return Ceph(directory) if choice() == "Ceph RGW" else Moto()
