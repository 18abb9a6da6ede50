"""How fast the library drains a queue of messages, and that each is told once.

    python benchmarks/library_drain.py [--messages 10000] [--workers 4] [--check]

A queue (moto, in a process of its own) is filled with tasks to hash small files of
a directory, one message in a hundred being rubbish. Then the library starts, and a
receiver counts its webhooks. `--check` fails if one is missing or came twice.
"""

import argparse
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import boto3  # noqa: E402
import yaml  # noqa: E402
from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402
from moto.sqs.models import Message, sqs_backends  # noqa: E402

from benchmarks import idle  # noqa: E402

_REGION = "ap-northeast-2"
_QUEUE = "tasks"
# So many messages wait, until all were sent. Each call takes moto a time for each.
_HELD = 200
_START_SECONDS = 60.0
_RUBBISH_EVERY = 100
_FILES = 50
_LONGEST_SECONDS = 3600.0
_QUIET_SECONDS = 10.0


@contextmanager
def queue(texts: Sequence[str]) -> Iterator[str]:
    """Run a server with a queue of messages; yield the queue's URL."""
    port = idle.free_port()
    url = f"http://127.0.0.1:{port}"
    context = multiprocessing.get_context("spawn")
    filled = context.Event()
    process = context.Process(target=_serve, args=(port, texts, filled), daemon=True)
    process.start()
    try:
        if not filled.wait(_START_SECONDS):
            raise RuntimeError("The queue's server does not start.")
        client = boto3.client("sqs", endpoint_url=url, region_name=_REGION)
        yield client.get_queue_url(QueueName=_QUEUE)["QueueUrl"]
    finally:
        process.terminate()
        process.join()


def _serve(port: int, texts: Sequence[str], filled: Event) -> None:
    """Serve a queue until killed; it never holds more than moto can list quickly."""
    # It logs each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ThreadedMotoServer("127.0.0.1", port, verbose=False).start()
    queue = sqs_backends[DEFAULT_ACCOUNT_ID][_REGION].create_queue(_QUEUE)
    for number, text in enumerate(texts):
        while len(queue._messages) >= _HELD:
            filled.set()
            time.sleep(0.05)
        message = Message(str(UUID(int=number)), text)
        message.mark_sent()
        queue.add_message(message)
    filled.set()
    threading.Event().wait()


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
    texts = [_message(number) for number in range(messages)]
    tasks = sum(text.startswith("{") for text in texts)
    with tempfile.TemporaryDirectory() as place, queue(texts) as url:
        folder = Path(place)
        bucket = folder / "data" / "library"
        bucket.mkdir(parents=True)
        for number in range(_FILES):
            (bucket / f"{number}.wav").write_bytes(os.urandom(100_000))
        (folder / "config.yaml").write_text(config(workers))
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
