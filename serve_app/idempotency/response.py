"""The answer to a request that a client may send twice, so that it acts once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a request was answered with, kept until `expires_at`.

    `id` is that of the request, as its client named it. `fingerprint` stands for all
    that it said: another one under the same name is a mistake of the client.
    """

    id: str
    fingerprint: str
    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    expires_at: datetime
