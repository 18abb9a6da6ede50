"""A queue of SQS, against moto's server."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from serve_app.errors import UnreachableUrl
from serve_app.library.errors import QueueUnavailable
from serve_app.library.inlet.dead_letter_channel import DeadLetterChannel, QueuePoster
from serve_app.library.inlet.sqs import Queue
from tests.ports import free_port

REGION = "ap-northeast-2"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def client(server: str) -> Any:
    return boto3.client("sqs", endpoint_url=server, region_name=REGION)


@pytest.fixture
def queue(client: Any, request: pytest.FixtureRequest) -> Queue:
    return Queue(new_queue(client, request.node.name), REGION)


def new_queue(client: Any, name: str) -> str:
    cleaned = "".join(char if char.isalnum() else "-" for char in name)
    return str(client.create_queue(QueueName=cleaned)["QueueUrl"])


def test_messages_are_received_and_deleted(queue: Queue) -> None:
    for number in range(12):
        queue.send(f"text {number} 킥", {"reason": "because"})
    assert queue.visible() == 12
    received = [*queue.receive(0, 10), *queue.receive(0, 10)]
    assert {each.text for each in received} == {f"text {n} 킥" for n in range(12)}
    assert len({each.id for each in received}) == 12
    queue.delete(received[:10])
    queue.delete(received[10:])
    queue.delete([])
    assert queue.visible() == 0
    assert queue.receive(0, 10) == []


def test_no_more_are_received_than_asked_for_and_the_rest_comes_at_once(
    queue: Queue,
) -> None:
    for number in range(3):
        queue.send(f"text {number}", {"reason": "because"})
    received = queue.receive(0, 2)
    assert len(received) == 2
    queue.give_back(received)
    assert queue.visible() == 3


def test_a_queue_that_is_not_there_is_unavailable(server: str) -> None:
    for url in (
        f"{server}/123456789012/none",
        f"http://127.0.0.1:{free_port()}/1/none",
    ):
        for call in (lambda q: q.receive(0, 10), lambda q: q.send("a", {"b": "c"})):
            with pytest.raises(QueueUnavailable):
                call(Queue(url, REGION))


def test_a_dead_letter_has_its_message_and_its_reason(client: Any) -> None:
    url = new_queue(client, "letters")
    channel = DeadLetterChannel(QueuePoster(Queue(url, REGION)))
    stored = '{"message": "the text", "attributes": {"reason": "why", "task": "-"}}'
    body = channel.body(stored)
    with channel.asker.post("", {}, body, 0.0) as answer:
        assert answer.status == 200
    found = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])
    (message,) = found["Messages"]
    assert message["Body"] == "the text"
    attributes = message["MessageAttributes"]
    assert attributes["reason"]["StringValue"] == "why"
    assert attributes["task"]["StringValue"] == "-"


def test_of_a_message_that_is_too_large_the_beginning_is_kept(client: Any) -> None:
    url = new_queue(client, "large")
    queue = Queue(url, REGION)
    queue.send("ü" * 1_100_000, {"reason": "why"})
    (message,) = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert message["Body"] == "ü" * 100_000
    assert message["MessageAttributes"]["is_cut_short"]["StringValue"] == "true"


def test_a_queue_that_is_away_is_tried_again_later() -> None:
    url = f"http://127.0.0.1:{free_port()}/1/letters"
    with (
        pytest.raises(UnreachableUrl),
        QueuePoster(Queue(url, REGION)).post(
            "", {}, b'{"message": "a", "attributes": {"b": "c"}}', 0.0
        ),
    ):
        pytest.fail("it was sent")
