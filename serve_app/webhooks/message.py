"""What is sent of a message that was written down: its URLs are those of now."""

import json


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
