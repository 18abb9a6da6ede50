"""Requests that act once, however often they are sent (the header Idempotency-Key).

The header is that of draft-ietf-httpapi-idempotency-key-header; an answer is kept for a
day, as Stripe does.
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
from serve_app.idempotency.response import Answer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT_SECONDS = 24 * 3600.0

_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")  # Printable ASCII.


@dataclass(frozen=True)
class Once:
    """One thing that a client wants done once: the name it gave, and what it said."""

    services: Services
    id: str
    fingerprint: str

    async def before(self) -> Answer | None:
        """Return the answer to the same request if there was one; raises KeyReused."""
        answer = await run_in_thread(self.services.answers.find, self.id)
        return None if answer is None else self.checked(answer)

    def answer(
        self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> Answer:
        """Return what is to be kept, and replayed for a day.

        No URL of this service may be in it: it would lead whoever sends the request
        again to a host that another client has named.
        """
        expires_at = self.services.clock() + timedelta(seconds=KEPT_SECONDS)
        return Answer(self.id, self.fingerprint, status, headers, body, expires_at)

    async def keep(self, status: int, body: Mapping[str, Any]) -> Answer | None:
        """Keep an answer, or return the one that a twin was given in the meantime."""
        answer = self.answer(status, {}, body)
        before = await run_in_thread(self.services.answers.keep, answer)
        return None if before is None else self.checked(before)

    def checked(self, answer: Answer) -> Answer:
        """Return the answer; KeyReused if it was given to something else."""
        if answer.fingerprint != self.fingerprint:
            raise KeyReused(
                f"This {HEADER} was sent before with another song or other options. "
                "Use a new key for each new request."
            )
        return answer


def replayed(answer: Answer) -> JSONResponse:
    """Give an answer again, as it was given before."""
    headers = {**answer.headers, REPLAYED: "true"}
    return JSONResponse(answer.body, answer.status, headers)


# How routes describe the header.
Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="A name of the client's for this request, such as a UUID. Sent "
        "again within a day, it gets the same answer and starts nothing.",
    ),
]


def is_named(request: Request) -> bool:
    """Whether the client gave the request a key."""
    return HEADER in request.headers


def once(request: Request, client: Client, said: Sequence[Any]) -> Once | None:
    """Return what to do once, if the client gave the request a key.

    `said` is all that the request says, as JSON can hold it. Raises BadRequest for a
    key that is none.
    """
    if not is_named(request):
        return None
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise BadRequest(
            f"The {HEADER} must be 1 to 255 printable ASCII characters: use a UUID."
        )
    name = [client.tenant, request.method, request.url.path, key]
    services: Services = request.app.state.services
    return Once(services, _digest(name), _digest(said))


def _digest(value: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
