"""The library's webhooks are sent as they are, to any address of the operator."""

from datetime import UTC, datetime

from serve_app.library.channel import LibraryChannel, client
from serve_app.webhooks import signing

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BODY = '{"audio_url":"/a","title":"킥"}'


def test_bodies_are_sent_as_they_are() -> None:
    assert LibraryChannel(client()).body(BODY) == BODY.encode()


def test_each_message_has_its_id_and_its_type() -> None:
    headers = LibraryChannel(client()).headers("msg_1", BODY.encode(), NOW)
    assert headers == {"Content-Type": "application/json", "webhook-id": "msg_1"}


def test_with_a_secret_messages_are_signed() -> None:
    key = signing.key_of(signing.new_secret())
    headers = LibraryChannel(client(), [key]).headers("msg_1", BODY.encode(), NOW)
    signing.verify([key], headers, BODY.encode(), NOW)
    assert headers["Content-Type"] == "application/json"
