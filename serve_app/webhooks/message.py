"""A message to send, and its body with the current URLs of the service."""

import json
from dataclasses import dataclass
from typing import Any

# The channel of the messages to clients' own URLs.
WEBHOOK = "webhook"


@dataclass(frozen=True)
class Message:
    """A message to `target`, which its channel signs and sends.

    `job_id` is the job that it is about, and `traceparent` the trace of that job.
    Messages with the same `order_key` are sent one after the other, oldest first.
    """

    channel: str
    target: str
    event: str
    body: str
    job_id: str
    order_key: str | None = None
    traceparent: str | None = None


def rendered(body: str, public_url: str) -> str:
    """Return `body` with absolute URLs of this service, or null without `public_url`.

    Messages are stored with paths, in fields with names that end in `_url`. A replay
    thus has the service's current URL, and no message has a host from the headers of a
    client's request. A body without fields, such as a text, is returned as it is.
    """
    try:
        message = json.loads(body)
    except ValueError:
        return body
    if not isinstance(message, dict | list):
        return body
    _make_absolute(message, public_url)
    data = message.get("data") if isinstance(message, dict) else None
    if public_url and isinstance(data, dict):
        data["hf_space_url"] = public_url
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _make_absolute(value: Any, public_url: str) -> None:
    """Change all paths in a JSON value to URLs, in place, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            is_path = isinstance(inner, str) and inner.startswith("/")
            if is_path and name.endswith("_url"):
                value[name] = f"{public_url}{inner}" if public_url else None
            else:
                _make_absolute(inner, public_url)
    elif isinstance(value, list):
        for inner in value:
            _make_absolute(inner, public_url)
