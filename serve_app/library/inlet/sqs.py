"""A queue of SQS, or of a compatible service."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from serve_app.library.errors import QueueUnavailable

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 10
# From the receipt of messages to the commit of their jobs.
_VISIBILITY_SECONDS = 60
_TOO_LARGE = ("InvalidParameterValue", "BatchRequestTooLong", "InvalidMessageContents")
# What is kept of a message that leaves no room for the attributes.
_KEPT_BYTES = 200_000


@dataclass(frozen=True)
class Received:
    """A message: its id, which stays the same when it comes again, and its text."""

    id: str
    text: str
    handle: str


class Queue:
    """A queue. Methods block, are thread-safe, and raise QueueUnavailable."""

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._region = region

    @cached_property
    def _client(self) -> Any:
        # The address of the service is the queue's own: a URL names its server.
        return boto3.session.Session().client(
            "sqs",
            region_name=self._region,
            endpoint_url=self._url.split("/", 3)[0] + "//" + self._url.split("/")[2],
            config=Config(
                connect_timeout=5,
                read_timeout=40,
                retries={"mode": "standard", "total_max_attempts": 3},
            ),
        )

    def receive(self, wait_seconds: int, most: int) -> Sequence[Received]:
        """Return up to ten messages; wait for the first one if there are none."""
        with _translated():
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, _MOST_AT_ONCE),
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=_VISIBILITY_SECONDS,
            )
        return [
            Received(each["MessageId"], each["Body"], each["ReceiptHandle"])
            for each in answer.get("Messages", ())
        ]

    def delete(self, received: Sequence[Received]) -> None:
        """Delete messages, whose jobs are committed; those that stay come again."""
        if not received:
            return
        entries = [
            {"Id": str(number), "ReceiptHandle": each.handle}
            for number, each in enumerate(received)
        ]
        with _translated():
            answer = self._client.delete_message_batch(
                QueueUrl=self._url, Entries=entries
            )
        for failure in answer.get("Failed", ()):
            logger.warning("message not deleted reason=%s", failure.get("Code"))

    def give_back(self, received: Sequence[Received]) -> None:
        """Let messages be received again at once; they count as received once more."""
        for each in received:
            with _translated():
                self._client.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=each.handle, VisibilityTimeout=0
                )

    def visible(self) -> int:
        """Return about how many messages wait to be received."""
        name = "ApproximateNumberOfMessages"
        with _translated():
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=[name]
            )
        return int(answer["Attributes"][name])

    def send(self, text: str, attributes: Mapping[str, str]) -> None:
        """Send a message; of one that is too large the beginning."""
        try:
            self._send(text, attributes)
        except ClientError as err:
            if err.response["Error"]["Code"] not in _TOO_LARGE:
                raise QueueUnavailable(_reason(err)) from err
            kept = text.encode()[:_KEPT_BYTES].decode(errors="ignore")
            with _translated():
                self._send(kept, {**attributes, "is_cut_short": "true"})
        except BotoCoreError as err:
            raise QueueUnavailable(_reason(err)) from err

    def _send(self, text: str, attributes: Mapping[str, str]) -> None:
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as err:
        raise QueueUnavailable(_reason(err)) from err


def _reason(err: ClientError | BotoCoreError) -> str:
    code = err.response["Error"]["Code"] if isinstance(err, ClientError) else ""
    return f"The queue is unavailable ({code or type(err).__name__}): {err}"
