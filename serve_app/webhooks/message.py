"""What is to be sent, and what is sent of it: its URLs are those of now."""

import json
from dataclasses import dataclass

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
    """Return `body` with the absolute URLs of its stems, null without a `public_url`.

    Messages are kept with paths. So a replay leads to where the service is now, and no
    message leads to a host that the client of a request has named.
    """
    message = json.loads(body)
    job = message["data"]
    for stem in (job.get("stems") or {}).values():
        path = stem["download_url"]
        stem["download_url"] = f"{public_url}{path}" if public_url else None
    if public_url:
        job["hf_space_url"] = public_url
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
