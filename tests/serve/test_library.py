"""The library end to end: from messages of a queue to webhooks and files."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
import soundfile
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.server import ThreadedMotoServer
from moto.sqs.models import Message, Queue, sqs_backends

from deployments.args import checked
from serve_app.library.channel import POLICY
from serve_app.storage.addresses import Bucket
from tests import library as messages
from tests.library import ANALYSIS, DUPLICATE, HASH, MIX, RUBBISH, STAGE_ID, STEM_ID
from tests.ports import free_port
from tests.s3 import S3Server
from tests.serve.application import running
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.holding_proxy import HoldingProxy, Point
from tests.serve.scaled import CREDENTIALS
from tests.serve.service import Service, processes, wait_for

# `make verify` kills workers at all points.
FULL_SIZE = os.environ.get("LIBRARY_KILLS") == "all"
REGION = "ap-northeast-2"
KEY = str(HASH["filepath"])


@dataclass
class Post:
    """A webhook as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Hooks:
    """A receiver that answers 201 to everything, as the original's does."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = json.loads(self.rfile.read(length))
                headers = {name.lower(): text for name, text in self.headers.items()}
                posts.append(Post(self.path, headers, body))
                answer = b'{"success": false}'
                self.send_response(201)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def about(self, subject: str) -> list[Post]:
        """Return the posts about a stem or a stage."""
        return [
            post
            for post in self.posts
            if subject in (post.body.get("stemId"), post.body.get("stageId"))
        ]

    def wait(self, subject: str, number: int = 1) -> Post:
        """Wait for a number of posts about a subject; return the last one."""
        wait_for(lambda: len(self.about(subject)) >= number, timeout_seconds=60)
        return self.about(subject)[number - 1]


@dataclass(frozen=True)
class Proxies:
    """What is between the library and its bucket, its queue and its receiver."""

    s3: HoldingProxy
    sqs: HoldingProxy
    hooks: HoldingProxy

    def close(self) -> None:
        for proxy in (self.s3, self.sqs, self.hooks):
            proxy.close()


@dataclass
class Library:
    """The library that runs, and all that it talks to."""

    service: Service
    hooks: Hooks
    proxies: Proxies
    sqs: Any
    queue_url: str
    letters_url: str
    s3: Any
    bucket: Bucket

    def send(self, text: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=text)

    def deliver(self, text: str, message_id: str) -> None:
        """Deliver a message of that id, as SQS may do several times with one."""
        message = Message(message_id, text)
        message.mark_sent()
        self._tasks.add_message(message)

    def end_visibility_timeouts(self) -> None:
        """Let messages that were received and not deleted come again."""
        for message in self._tasks._messages:
            message.visible_at = 0.0

    @property
    def waiting(self) -> int:
        """How many messages were not deleted."""
        return len(self._tasks._messages)

    @property
    def _tasks(self) -> Queue:
        return sqs_backends[ACCOUNT][REGION].queues["tasks"]

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket.name, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        found = self.s3.get_object(Bucket=self.bucket.name, Key=key)
        return bytes(found["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket.name, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def letters(self) -> dict[str, str]:
        """Return the reasons of all dead letters, by their messages."""
        found: dict[str, str] = {}
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.letters_url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages"):
                return found
            for each in answer["Messages"]:
                reason = each["MessageAttributes"]["reason"]["StringValue"]
                found[each["Body"]] = reason
                self.sqs.delete_message(
                    QueueUrl=self.letters_url, ReceiptHandle=each["ReceiptHandle"]
                )


@pytest.fixture(scope="module")
def sqs() -> Iterator[Any]:
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{port}"
    with closing(boto3.client("sqs", endpoint_url=url, region_name=REGION)) as client:
        yield client
    server.stop()


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    hooks = Hooks()
    yield hooks
    hooks.close()


@pytest.fixture(scope="module")
def library(
    s3: S3Server,
    cluster: int,
    sqs: Any,
    hooks: Hooks,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Library]:
    data_dir = tmp_path_factory.mktemp("data")
    queue_url = sqs.create_queue(QueueName="tasks")["QueueUrl"]
    letters_url = sqs.create_queue(QueueName="letters")["QueueUrl"]
    proxies = Proxies(
        HoldingProxy(s3.url),
        HoldingProxy(sqs.meta.endpoint_url),
        HoldingProxy(hooks.url.removesuffix("/webhook")),
    )
    with closing(proxies), s3.new_bucket() as bucket:
        place = f"s3://{bucket.name}?region={bucket.region}"
        tasks = queue_url.removeprefix(sqs.meta.endpoint_url)
        # The cluster may have started before the store did.
        pool = {"env": {name: os.environ[name] for name in CREDENTIALS}}
        args = checked(
            {
                "settings": {
                    "data_dir": data_dir,
                    "lease_seconds": LEASE_SECONDS,
                    "library_queue_url": proxies.sqs.url + tasks,
                    "library_dead_letter_url": letters_url,
                    "library_bucket": f"{place}&endpoint_url={proxies.s3.url}",
                    "library_webhook_url": f"{proxies.hooks.url}/webhook",
                },
                "api": pool,
                "dispatcher": pool,
                "systems": {"library": {"worker": pool}},
            }
        )
        with (
            running(cluster, args, data_dir) as service,
            closing(s3.client()) as client,
        ):
            found = (sqs, queue_url, letters_url, client, bucket)
            yield Library(service, hooks, proxies, *found)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("songs") / "a.wav"
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (44_100, 2))
    soundfile.write(path, sound, 44_100, "PCM_16")
    return path.read_bytes()


def of_stem(kwargs: dict[str, Any], stem_id: str, **more: Any) -> dict[str, Any]:
    return {**kwargs, "stemId": stem_id, **more}


@pytest.mark.parametrize("form", ["message", "celery_1", "celery_2"])
def test_the_four_tasks_of_a_stem(library: Library, wav: bytes, form: str) -> None:
    make = getattr(messages, form)
    stem, stage = f"{STEM_ID}-{form}", f"{STAGE_ID}-{form}"
    sha256 = hashlib.sha256(wav).hexdigest()
    library.put(KEY, wav)
    given = of_stem(HASH, stem, stageId=None)
    library.send(make("generate_hash_and_webhook", given, f"hash-{form}"))
    post = library.hooks.wait(stem)
    assert post.path == "/webhook/hash-check"
    assert post.headers["content-type"] == "application/json"
    assert post.body == {**given, "audio_hash": sha256, "status": "hash_generated"}

    library.send(make("process_audio_analysis", of_stem(ANALYSIS, stem), f"a-{form}"))
    post = library.hooks.wait(stem, 2)
    assert post.path == "/webhook/completion"
    result = post.body["result"]
    assert post.body["status"] == "SUCCESS"
    assert (result["audio_data_hash"], result["num_peaks"]) == (sha256, 4000)
    assert (result["file_size"], result["sample_rate"]) == (len(wav), 44_100)
    assert post.body["audio_wave_path"] == result["waveform_data_path"]
    stored = json.loads(library.get(result["waveform_data_path"]))
    assert (len(stored["peaks"]), stored["duration"]) == (4000, 1.0)
    assert library.keys(f"waveforms/{stem}") == [result["waveform_data_path"]]

    mix = {**MIX, "stageId": stage, "stem_paths": [KEY, KEY]}
    library.send(make("mix_stems_and_upload", mix, f"mixing-{form}"))
    post = library.hooks.wait(stage)
    assert post.path == "/webhook/mixing-complete"
    assert (post.body["status"], post.body["stem_count"]) == ("SUCCESS", 2)
    assert post.body["task_id"] == f"mixing-{form}"
    assert library.keys("mixed/" + stage) == [post.body["mixed_file_path"]]
    assert library.get(post.body["mixed_file_path"])[:4] == b"RIFF"
    assert (
        len(json.loads(library.get(post.body["waveform_data_path"]))["peaks"]) == 4000
    )

    gone = of_stem(DUPLICATE, stem, audio_hash=sha256)
    library.send(make("process_duplicate_file", gone, f"duplicate-{form}"))
    post = library.hooks.wait(stem, 3)
    assert (post.path, post.body["status"]) == ("/webhook/completion", "SUCCESS")
    assert post.body["result"] is None
    assert library.keys(KEY) == []


def test_a_task_over_http_is_the_same_task(library: Library, wav: bytes) -> None:
    library.put(KEY, wav)
    text = messages.message(
        "generate_hash_and_webhook", of_stem(HASH, "over-http"), "hash-http"
    )
    answers = [
        httpx.post(f"{library.service.url}/library/tasks", content=text, timeout=30)
        for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {202}
    (job_id,) = {answer.json()["job_id"] for answer in answers}
    library.hooks.wait("over-http")
    task = f"{library.service.url}/library/tasks/{job_id}"
    wait_for(lambda: httpx.get(task, timeout=30).json()["state"] == "succeeded")
    time.sleep(1)
    assert len(library.hooks.about("over-http")) == 1


def test_rubbish_over_http_is_refused_with_a_reason(library: Library) -> None:
    url = f"{library.service.url}/library/tasks"
    answer = httpx.post(url, content=RUBBISH["no stem"], timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_task")


# SQS itself refuses a message that is empty or larger than that.
POISON = [
    text for text in RUBBISH.values() if text.strip() and len(text.encode()) < 200_000
]


def test_rubbish_ends_in_the_dead_letters(library: Library) -> None:
    for text in POISON:
        library.send(text)
    found: dict[str, str] = {}

    def are_all_there() -> bool:
        found.update(library.letters())
        return set(found) >= set(POISON)

    wait_for(are_all_there, timeout_seconds=30)
    assert len(POISON) >= 20
    assert all(len(reason) > 15 for reason in found.values())


def test_rubbish_delays_what_is_behind_it_by_less_than_a_second(
    library: Library, wav: bytes
) -> None:
    library.put(KEY, wav)

    def seconds_of(name: str) -> float:
        began = time.monotonic()
        library.send(json.dumps(of_stem(HASH, name)))
        library.hooks.wait(name)
        return time.monotonic() - began

    def seconds_behind(name: str) -> float:
        for text in POISON:
            library.send(text)
        return seconds_of(name)

    # The best of a few: other processes use this machine too.
    alone = min(seconds_of(f"alone-{number}") for number in range(3))
    behind = min(seconds_behind(f"behind-{number}") for number in range(3))
    assert behind - alone < 1


@pytest.mark.parametrize(
    "name", ["generate_hash_and_webhook", "process_audio_analysis"]
)
def test_a_message_that_is_delivered_five_times_is_told_once(
    library: Library, wav: bytes, name: str
) -> None:
    library.put(KEY, wav)
    stem = f"again-{name}"
    # Without an id of its sender: only the queue's says that it is the same.
    text = json.dumps({"task": f"app.tasks.{name}", "kwargs": of_stem(HASH, stem)})
    for _ in range(2):
        library.deliver(text, f"message-{name}")
    library.hooks.wait(stem)
    for _ in range(3):
        library.deliver(text, f"message-{name}")
        wait_for(lambda: not library.waiting)
    time.sleep(2)
    assert len(library.hooks.about(stem)) == 1
    is_analysis = name == "process_audio_analysis"
    assert len(library.keys(f"waveforms/{stem}")) == is_analysis


def test_a_message_that_is_sent_again_is_told_once(
    library: Library, wav: bytes
) -> None:
    library.put(KEY, wav)
    text = messages.message("generate_hash_and_webhook", of_stem(HASH, "again"), "h-a")
    for _ in range(5):
        library.send(text)
        library.hooks.wait("again")
    time.sleep(2)
    assert len(library.hooks.about("again")) == 1


# Five points of each task at which its worker is killed.
POINTS = {
    # Its worker does nothing else; three points more are those of dispatchers, below.
    "generate_hash_and_webhook": [
        Point("GET"),
        Point("GET", is_after=True),
    ],
    "process_duplicate_file": [
        Point("HEAD"),
        Point("GET", is_after=True),
        Point("HEAD", skip=1),
        Point("DELETE"),
        Point("DELETE", is_after=True),
    ],
    "process_audio_analysis": [
        Point("HEAD", is_after=True),
        Point("GET"),
        Point("GET", is_after=True),
        Point("PUT"),
        Point("PUT", is_after=True),
    ],
    "mix_stems_and_upload": [
        Point("GET"),
        Point("GET", skip=1),
        Point("PUT"),
        Point("PUT", is_after=True),
        Point("PUT", skip=1, is_after=True),
    ],
}
# CI tries the last point of each task, `make verify` all of them.
_TRIED = [
    (name, number)
    for name, points in POINTS.items()
    for number in range(len(points))
    if FULL_SIZE or number == len(points) - 1
]


def kwargs_about(library: Library, subject: str, wav: bytes) -> dict[str, Any]:
    """Store a wav; return the arguments of any task about it."""
    key = f"audio/{subject}.wav"
    library.put(key, wav)
    return {
        **HASH,
        "stemId": subject,
        "stageId": subject,
        "filepath": key,
        "audio_hash": hashlib.sha256(wav).hexdigest(),
        "stem_paths": [key, key],
    }


@pytest.mark.parametrize(("name", "number"), _TRIED)
def test_a_killed_worker_does_its_task_once_as_seen_from_outside(
    library: Library, wav: bytes, name: str, number: int
) -> None:
    subject, point = f"killed-{name}-{number}", POINTS[name][number]
    kwargs = kwargs_about(library, subject, wav)
    with library.proxies.s3.holding(point) as is_held:
        library.send(messages.message(name, kwargs, f"id-{subject}"))
        wait_for(is_held)
        (worker,) = processes("LibraryWorker")
        os.kill(worker.pid, signal.SIGKILL)
        killed = time.monotonic()
    post = library.hooks.wait(subject)
    assert time.monotonic() - killed < LEASE_SECONDS + 10
    assert post.body["status"] in ("SUCCESS", "hash_generated")
    time.sleep(2)
    assert len(library.hooks.about(subject)) == 1
    waveforms = library.keys(f"waveforms/{subject}")
    assert len(waveforms) == (
        name in ("process_audio_analysis", "mix_stems_and_upload")
    )
    assert len(library.keys(f"mixed/{subject}")) == (name == "mix_stems_and_upload")
    assert bool(library.keys(kwargs["filepath"])) == (name != "process_duplicate_file")


def kill_dispatcher(library: Library, proxy: HoldingProxy, point: Point) -> float:
    """Kill the dispatcher when it is at a point; return when."""
    with proxy.holding(point) as is_held:
        wait_for(is_held)
        (dispatcher,) = processes("DispatcherReplica")
        os.kill(dispatcher.pid, signal.SIGKILL)
        return time.monotonic()


# As of the workers' points, CI tries one task, and `make verify` all.
_TRIED_TASKS = list(POINTS) if FULL_SIZE else ["generate_hash_and_webhook"]
_IS_LONG = pytest.mark.skipif(
    not FULL_SIZE, reason=f"{POLICY.lease_seconds:.0f} s each: set LIBRARY_KILLS=all"
)
_ROUTES = {
    "generate_hash_and_webhook": "/hash-check",
    "mix_stems_and_upload": "/mixing-complete",
}


@pytest.mark.parametrize("name", _TRIED_TASKS)
def test_a_dispatcher_killed_before_it_deletes_a_message_does_it_once(
    library: Library, wav: bytes, name: str
) -> None:
    subject = f"undeleted-{name}"
    kwargs = kwargs_about(library, subject, wav)
    library.send(json.dumps({"task": f"app.tasks.{name}", "kwargs": kwargs}))
    point = Point("POST", about="DeleteMessageBatch", is_lost=True)
    killed = kill_dispatcher(library, library.proxies.sqs, point)
    library.hooks.wait(subject)
    assert time.monotonic() - killed < LEASE_SECONDS + 10
    library.end_visibility_timeouts()
    wait_for(lambda: not library.waiting)
    time.sleep(2)
    assert len(library.hooks.about(subject)) == 1


@_IS_LONG
@pytest.mark.parametrize("name", POINTS)
def test_a_dispatcher_killed_before_the_receiver_has_a_webhook_sends_it_once(
    library: Library, wav: bytes, name: str
) -> None:
    subject = f"unsent-{name}"
    kwargs = kwargs_about(library, subject, wav)
    library.send(messages.message(name, kwargs, subject))
    point = Point("POST", about=_ROUTES.get(name, "/completion"), is_lost=True)
    killed = kill_dispatcher(library, library.proxies.hooks, point)
    library.hooks.wait(subject)
    assert time.monotonic() - killed < POLICY.lease_seconds + 10
    time.sleep(2)
    assert len(library.hooks.about(subject)) == 1


@_IS_LONG
@pytest.mark.parametrize("name", POINTS)
def test_a_dispatcher_killed_before_it_knows_of_a_response_repeats_only_its_id(
    library: Library, wav: bytes, name: str
) -> None:
    subject = f"unheard-{name}"
    kwargs = kwargs_about(library, subject, wav)
    library.send(messages.message(name, kwargs, subject))
    point = Point("POST", about=_ROUTES.get(name, "/completion"), is_after=True)
    kill_dispatcher(library, library.proxies.hooks, point)
    library.hooks.wait(subject, 2)
    time.sleep(2)
    posts = library.hooks.about(subject)
    assert len(posts) == 2
    assert posts[0].body == posts[1].body
    assert posts[0].headers["webhook-id"] == posts[1].headers["webhook-id"]


def test_a_killed_dispatcher_loses_and_repeats_nothing(
    library: Library, wav: bytes
) -> None:
    library.put(KEY, wav)
    text = messages.message("process_audio_analysis", of_stem(ANALYSIS, "led"), "led")
    library.send(text)
    killed = kill_dispatcher(library, library.proxies.s3, Point("PUT"))
    library.hooks.wait("led")
    assert time.monotonic() - killed < LEASE_SECONDS + 10
    time.sleep(2)
    assert len(library.hooks.about("led")) == 1
    assert len(library.keys("waveforms/led")) == 1


def test_health_says_that_it_works(library: Library) -> None:
    answer = httpx.get(f"{library.service.url}/library/health", timeout=30)
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
