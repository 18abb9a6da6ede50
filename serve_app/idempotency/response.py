"""The stored response to a request with an idempotency key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class StoredResponse:
    """The response to a request, kept until `expires_at`.

    `id` is a digest of the client and its idempotency key. `fingerprint` is a digest of
    the request: another fingerprint under the same id is an error of the client.
    """

    id: str
    fingerprint: str
    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    expires_at: datetime
