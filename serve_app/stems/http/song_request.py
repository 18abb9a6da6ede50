"""A request that brings a song, and what its route needs to take the song in."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.requests import Request

from serve_app.api import idempotency
from serve_app.api.clients import Client
from serve_app.api.threads import run_in_thread
from serve_app.stems.http.intake import Arrival, Intake
from serve_app.stems.http.services import J, Queue, StemsServices
from serve_app.stems.options import Option, names


@dataclass(frozen=True)
class SongRequest:
    """A request with a song; `base_url` is where its client reaches this service."""

    request: Request
    client: Client
    services: StemsServices
    intake: Intake
    base_url: str

    async def check_room(self, queue: Queue[J]) -> None:
        """Raise QueueFull before the client uploads a song that the queue can't take.

        Raises QuotaExceeded when a quota of the client is used up.
        A request with an Idempotency-Key is not checked: it may have a response.
        """
        if not idempotency.is_named(self.request):
            client = self.client
            await run_in_thread(
                queue.check_room, client.name, client.tenant, client.quotas
            )

    def receive(
        self, options: Sequence[Option]
    ) -> AbstractAsyncContextManager[Arrival]:
        """Receive the song and its options; see `Intake.receive`."""
        return self.intake.receive(self.request, self.client, names(options))
