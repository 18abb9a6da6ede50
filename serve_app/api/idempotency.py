"""Idempotent requests: the header Idempotency-Key.

The header is that of draft-ietf-httpapi-idempotency-key-header. A response is kept for
24 hours, as Stripe does.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.responses import JSONResponse

from serve_app.api.clients import Client
from serve_app.api.services import Services
from serve_app.api.threads import run_in_thread
from serve_app.errors import BadRequest, KeyReused
from serve_app.idempotency.response import StoredResponse

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT_SECONDS = 24 * 3600.0

_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")  # Printable ASCII.


@dataclass(frozen=True)
class Once:
    """An idempotent request: a digest of its key, and one of its content."""

    services: Services
    id: str
    fingerprint: str

    async def before(self) -> StoredResponse | None:
        """Return the kept response to this request, or None.

        Raises KeyReused if the key was sent with another request.
        """
        answer = await run_in_thread(self.services.answers.find, self.id)
        return None if answer is None else self.checked(answer)

    def answer(
        self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> StoredResponse:
        """Return the response to keep for 24 hours.

        It must not contain a URL of this service: the host is the one that the first
        request named, and the client that repeats the request may use another.
        """
        expires_at = self.services.clock() + timedelta(seconds=KEPT_SECONDS)
        return StoredResponse(
            self.id, self.fingerprint, status, headers, body, expires_at
        )

    async def keep(self, status: int, body: Mapping[str, Any]) -> StoredResponse | None:
        """Keep a response; return the one that a concurrent request kept, or None."""
        answer = self.answer(status, {}, body)
        before = await run_in_thread(self.services.answers.keep, answer)
        return None if before is None else self.checked(before)

    def checked(self, answer: StoredResponse) -> StoredResponse:
        """Return the response; raise KeyReused if it belongs to another request."""
        if answer.fingerprint != self.fingerprint:
            raise KeyReused(
                f"This {HEADER} was already used with another song or other options. "
                "Use a new key for each new request."
            )
        return answer


def replayed(answer: StoredResponse) -> JSONResponse:
    """Return a kept response again, marked as a replay."""
    headers = {**answer.headers, REPLAYED: "true"}
    return JSONResponse(answer.body, answer.status, headers)


# How routes describe the header.
Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="A unique key for this request, such as a UUID. A request with the "
        "same key within 24 hours gets the same response and starts nothing.",
    ),
]


def is_named(request: Request) -> bool:
    """Whether the request has a key."""
    return HEADER in request.headers


def once(request: Request, client: Client, said: Sequence[Any]) -> Once | None:
    """Return the idempotent request, or None if it has no key.

    `said` is the content of the request, as values that JSON can hold. Raises
    BadRequest for an invalid key.
    """
    if not is_named(request):
        return None
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise BadRequest(
            f"The {HEADER} must be 1 to 255 printable ASCII characters. Use a UUID."
        )
    name = [client.tenant, request.method, request.url.path, key]
    services: Services = request.app.state.services
    return Once(services, _digest(name), _digest(said))


def _digest(value: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
