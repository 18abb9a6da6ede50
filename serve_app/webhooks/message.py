"""What is to be sent, and what is sent of it: its URLs are those of now."""

import json
from dataclasses import dataclass
from typing import Any

# The channel of what clients are told at addresses of their own.
WEBHOOK = "webhook"


@dataclass(frozen=True)
class Message:
    """What is to be sent to `target` by a channel, which says how.

    `job_id` is the job that it tells of. Messages with one `order_key` are sent one
    after the other, the oldest first.
    """

    channel: str
    target: str
    event: str
    body: str
    job_id: str
    order_key: str | None = None


def rendered(body: str, public_url: str) -> str:
    """Return `body` with absolute URLs of this service, null without a `public_url`.

    Messages are kept with paths, in fields whose names end with `_url`. So a replay
    leads to where the service is now, and no message leads to a host that the client of
    a request has named. A body without fields, such as a text, is returned as it is.
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
    """Change the paths in a JSON value to URLs, however deep they lie."""
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
