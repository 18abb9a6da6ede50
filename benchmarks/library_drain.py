"""How fast the library drains a queue of messages, and that each is told once.

    python benchmarks/library_drain.py [--messages 10000] [--workers 4] [--check]

A queue (moto, in a process of its own) is filled with tasks to hash small files of
a directory, one message in a hundred being rubbish. Then the library starts, and a
receiver counts its webhooks. `--check` fails if one is missing or came twice.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import boto3  # noqa: E402
import yaml  # noqa: E402

from benchmarks import idle  # noqa: E402

_REGION = "ap-northeast-2"
_BATCH = 10
_RUBBISH_EVERY = 100
_FILES = 50
_LONGEST_SECONDS = 3600.0
_QUIET_SECONDS = 10.0


@contextmanager
def queue() -> Iterator[tuple[Any, str]]:
    """Run a server with a queue; yield its client, and the queue's URL."""
    port = idle.free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = boto3.client(
        "sqs", endpoint_url=f"http://127.0.0.1:{port}", region_name=_REGION
    )
    try:
        idle.wait_ready(f"http://127.0.0.1:{port}/moto-api/data.json")
        yield client, client.create_queue(QueueName="tasks")["QueueUrl"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def fill(client: Any, url: str, messages: int) -> int:
    """Send the messages; return how many of them are tasks."""
    texts = [_message(number) for number in range(messages)]
    for start in range(0, messages, _BATCH):
        entries = [
            {"Id": str(number), "MessageBody": text}
            for number, text in enumerate(texts[start : start + _BATCH])
        ]
        client.send_message_batch(QueueUrl=url, Entries=entries)
    return sum(text.startswith("{") for text in texts)


def _message(number: int) -> str:
    if number % _RUBBISH_EVERY == 0:
        return f"rubbish {number}"
    return json.dumps(
        {
            "task": "app.tasks.generate_hash_and_webhook",
            "id": f"hash-{number}",
            "args": [],
            "kwargs": {
                "stemId": f"stem-{number}",
                "filepath": f"{number % _FILES}.wav",
            },
        }
    )


class Counting:
    """A receiver that counts what it gets, by stem."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last_at = time.monotonic()
        self._lock = threading.Lock()
        note = self._note

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                note(json.loads(self.rfile.read(length))["stemId"])
                self.send_response(201)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def _note(self, stem_id: str) -> None:
        with self._lock:
            self.counts[stem_id] += 1
            self.last_at = time.monotonic()


def config(workers: int) -> str:
    """Return a Serve config with so many workers, each with one task at a time."""
    worker = {"num_replicas": workers, "max_ongoing_requests": 1}
    application = {
        "name": "library",
        "route_prefix": "/",
        "import_path": "deployments.app:build",
        "args": {"systems": {"library": {"worker": worker}}},
    }
    return yaml.safe_dump({"applications": [application]})


def drained(messages: int, workers: int) -> tuple[int, Counter[str], float]:
    """Drain a queue; return its tasks, what was told, and the tasks per second."""
    receiver = Counting()
    with tempfile.TemporaryDirectory() as place, queue() as (client, url):
        folder = Path(place)
        bucket = folder / "data" / "library"
        bucket.mkdir(parents=True)
        for number in range(_FILES):
            (bucket / f"{number}.wav").write_bytes(os.urandom(100_000))
        (folder / "config.yaml").write_text(config(workers))
        tasks = fill(client, url, messages)
        settings = {
            "AWS_REGION": _REGION,
            "SQS_QUEUE_URL": url,
            "WEBHOOK_URL": receiver.url,
        }
        options = ("--config", str(folder / "config.yaml"))
        with idle.server(folder, idle.free_port(), settings, options):
            began = time.monotonic()
            while time.monotonic() < began + _LONGEST_SECONDS:
                time.sleep(1)
                is_quiet = time.monotonic() > receiver.last_at + _QUIET_SECONDS
                if is_quiet and len(receiver.counts) >= tasks:
                    break
    seconds = receiver.last_at - began
    return tasks, receiver.counts, len(receiver.counts) / seconds


def main(arguments: Sequence[str]) -> int:
    """Drain, and print what was told."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--messages", type=int, default=10_000)
    top.add_argument("--workers", type=int, default=4)
    top.add_argument("--check", action="store_true", help="fail if one is lost")
    options = top.parse_args(arguments)
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "key")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "secret")
    tasks, counts, rate = drained(options.messages, options.workers)
    twice = sum(count > 1 for count in counts.values())
    print(
        f"{tasks} tasks: {tasks - len(counts)} lost, {twice} told twice, "
        f"{rate:.0f} a second with {options.workers} workers"
    )
    return 1 if options.check and (twice or len(counts) != tasks) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
