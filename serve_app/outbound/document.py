"""Small documents of other servers, read into memory."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.errors import UnreachableUrl
from serve_app.outbound.client import NO_RESPONSE, OutboundClient

_OK = 200


@dataclass(frozen=True)
class Document:
    """The body of a response, and its headers with names in lower case."""

    body: bytes
    headers: Mapping[str, str]


def read(
    client: OutboundClient, url: str, max_bytes: int, timeout_seconds: float
) -> Document:
    """Return the document at `url`; blocks.

    Raises RefusedUrl, and UnreachableUrl if it is not received within the timeout, has
    more than `max_bytes`, or has another status than 200.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        with client.get(url, {"Accept": "application/json"}, deadline) as answer:
            if answer.status != _OK:
                raise UnreachableUrl(
                    f"The server of the URL responded with status {answer.status}."
                )
            body = b""
            for chunk in answer.body:
                body += chunk
                if len(body) > max_bytes:
                    raise UnreachableUrl(
                        f"The document must have at most {max_bytes} bytes."
                    )
            return Document(body, answer.headers)
    except NO_RESPONSE as err:
        reason = str(err) or type(err).__name__
        raise UnreachableUrl(f"The URL is unreachable: {reason}.") from err
