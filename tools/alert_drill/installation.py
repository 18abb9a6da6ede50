"""The service that the drill breaks, with all that it needs."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer
from ray import serve

from deployments.app import build
from deployments.args import AppArgs
from tests import disks, media
from tests.databases import Postgres
from tests.ports import free_port
from tests.s3 import ACCESS_KEY, REGION, SECRET_KEY
from tests.serve.scaled import arguments
from tests.serve.service import wait_for

_GIB = 1024**3
_BUCKET = "stems"
_SECRET = "whsec_" + "c3RlbXNlcnZlIGFsZXJ0IGRyaWxsIHN0ZW1zZXJ2ZSE="
_RETENTION_SECONDS = 60.0
_SEPARATION_SECONDS = 120.0


class Store:
    """An S3 server in this process, which can be stopped and keeps its files."""

    def __init__(self) -> None:
        os.environ["AWS_ACCESS_KEY_ID"] = ACCESS_KEY
        os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET_KEY
        os.environ["AWS_DEFAULT_REGION"] = REGION
        # It logs each request.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._port = free_port()
        self.start()
        self._bucket = boto3.resource("s3", endpoint_url=self._url).create_bucket(
            Bucket=_BUCKET
        )

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def place(self) -> str:
        """The store, as the setting names it."""
        return f"s3://{_BUCKET}/jobs?{self._options}"

    @property
    def bucket(self) -> str:
        """The whole bucket, as the library's setting names it."""
        return f"s3://{_BUCKET}?{self._options}"

    @property
    def _options(self) -> str:
        return f"endpoint_url={self._url}&region={REGION}"

    def start(self) -> None:
        """Start it."""
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """Stop it: connections are refused."""
        self._server.stop()

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self._bucket.put_object(Key=key, Body=content)

    def delete_songs(self) -> None:
        """Delete all uploaded songs."""
        self._bucket.objects.filter(Prefix="jobs/originals/").delete()


class Receiver:
    """An endpoint of webhooks that responds with `status`."""

    def __init__(self) -> None:
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, number: int) -> str:
        """Return one of its URLs."""
        return f"http://127.0.0.1:{self._server.server_port}/{number}"

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Installation:
    """A running service, and what it depends on."""

    url: str
    args: AppArgs
    postgres: Postgres
    store: Store
    disk: disks.SmallDisk
    receiver: Receiver
    folder: Path

    def deploy(self) -> None:
        """Deploy the application, as `serve deploy` does, and wait until it runs."""
        serve.run(build(self.args), name="stemserve", route_prefix="/")

    def song(self, seconds: float) -> Path:
        """Write a song, the same for the same length."""
        path = self.folder / f"{seconds}.wav"
        media.write_song(path, seconds=seconds, sample_rate=22_050)
        return path

    def send(
        self, seconds: float, path: str = "/separate", **fields: str
    ) -> Mapping[str, Any]:
        """Send a song of that length; return the response."""
        files = {"file": self.song(seconds).read_bytes()}
        return self.ask("POST", path, files=files, data=fields)

    def separate(self, seconds: float) -> None:
        """Have a song separated, so that it is reused for a minute."""
        job_id = self.send(seconds)["job_id"]
        wait_for(
            lambda: self.ask("GET", f"/job/{job_id}")["status"] == "completed",
            _SEPARATION_SECONDS,
        )

    def ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        """Send a request; return the response."""
        response = httpx.request(method, f"{self.url}{path}", timeout=60, **more)
        response.raise_for_status()
        found: Mapping[str, Any] = response.json()
        return found

    def run(self, *command: str) -> None:
        """Run a command of `stemserve` on the service's database."""
        url = str(self.args.settings["database_url"])
        subprocess.run(
            [sys.executable, "-m", "serve_app.cli", *command],
            env={**os.environ, "STEMSERVE_DATABASE_URL": url},
            check=True,
            capture_output=True,
        )

    def resize_disk(self, size_bytes: int) -> None:
        """Shrink or enlarge the disk of the working files."""
        options = f"remount,size={size_bytes}"
        subprocess.run(["mount", "-o", options, self.disk.path], check=True)


DISK_BYTES, SMALL_DISK_BYTES = 20 * _GIB, _GIB


@contextmanager
def running(port: int, folder: Path) -> Iterator[Installation]:
    """Run the service on the Serve at `port`."""
    postgres, store, receiver = Postgres(folder / "postgres"), Store(), Receiver()
    try:
        with (
            disks.mounted(folder / "data", DISK_BYTES) as disk,
            postgres.new_database() as database_url,
        ):
            args = arguments(
                *(database_url, store.place, disk.path),
                separators=1,
                retention_seconds=_RETENTION_SECONDS,
                max_attempts=3,
                webhook_secrets=_SECRET,
                allow_private_webhooks=True,
                # Prometheus has no key here.
                metrics_access="open",
                library_bucket=store.bucket,
            )
            # One replica of each, as on a laptop.
            single = {
                name: getattr(args, name).model_copy(update={"num_replicas": 1})
                for name in ("api", "dispatcher")
            }
            library = {"worker": {"env": args.api.env}}
            systems = {**args.systems, "library": library}
            args = args.model_copy(update={**single, "systems": systems})
            url = f"http://127.0.0.1:{port}"
            place = Installation(url, args, postgres, store, disk, receiver, folder)
            place.deploy()
            yield place
            serve.delete("stemserve")
    finally:
        receiver.stop()
        store.stop()
        postgres.close()
