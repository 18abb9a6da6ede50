"""Small documents are read whole, or not at all."""

from collections.abc import Iterator

import pytest

from serve_app.errors import RefusedUrl, UnreachableUrl
from serve_app.outbound import document
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.urls import UrlRules
from tests.hostile import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener("127.0.0.1")
    yield listener
    listener.close()


@pytest.fixture
def client() -> Iterator[OutboundClient]:
    network = CheckedNetwork(is_allowed=lambda _: True)
    client = OutboundClient(UrlRules(("http",), has_private=True), network)
    yield client
    client.close()


def test_a_document_of_the_largest_size_is_read(
    listener: Listener, client: OutboundClient
) -> None:
    listener.answers = [(200, {"Cache-Control": "no-store"}, b"12345")]
    found = document.read(client, f"http://127.0.0.1:{listener.port}/", 5, 5.0)
    assert found.body == b"12345"
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("status", "body", "reason"), [(200, b"123456", "at most 5"), (404, b"", "404")]
)
def test_other_responses_are_errors(
    listener: Listener, client: OutboundClient, status: int, body: bytes, reason: str
) -> None:
    listener.answers = [(status, {}, body)]
    with pytest.raises(UnreachableUrl, match=reason):
        document.read(client, f"http://127.0.0.1:{listener.port}/", 5, 5.0)


def test_a_url_that_is_not_allowed_is_refused(client: OutboundClient) -> None:
    with pytest.raises(RefusedUrl):
        document.read(client, "ftp://127.0.0.1/", 5, 5.0)
    with pytest.raises(UnreachableUrl, match="unreachable"):
        document.read(client, "http://127.0.0.1:1/", 5, 5.0)
