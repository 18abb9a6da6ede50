"""FastAPI dependencies that the routes of all systems share."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Annotated

from fastapi import Depends, Request

from serve_app.api import door, hosts
from serve_app.api.clients import Client
from serve_app.api.limits import Limit
from serve_app.api.links import ClientLinks
from serve_app.api.services import Services
from serve_app.api.streams import Streams
from serve_app.errors import InvalidInput


# Coroutines, because FastAPI runs plain functions in a thread.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


InjectedServices = Annotated[Services, Depends(_services)]


async def _streams(services: InjectedServices) -> Streams:
    return services.streams


InjectedStreams = Annotated[Streams, Depends(_streams)]


async def _base_url(request: Request, services: InjectedServices) -> str:
    return services.public_url or hosts.base_url(request.scope)


# The service's base URL as this client reaches it. Never put it into a response to
# another client: the client may have forged the host.
InjectedBaseUrl = Annotated[str, Depends(_base_url)]


async def client(request: Request) -> Client:
    """Return the client of a request, which came in through the door."""
    return door.client_of(request.scope)


InjectedClient = Annotated[Client, Depends(client)]


async def _links(
    client: InjectedClient, services: InjectedServices, base_url: InjectedBaseUrl
) -> ClientLinks:
    return ClientLinks(services.door, client, base_url)


# The links of the client. Never put them into a response to another one.
InjectedLinks = Annotated[ClientLinks, Depends(_links)]


async def _count_waiting(
    request: Request, client: InjectedClient
) -> AsyncIterator[Callable[[], None]]:
    waiting: Limit = request.app.state.waiting
    with ExitStack() as held:
        yield lambda: held.enter_context(waiting.held(client.name))


# Counts the request as a waiting one until the last byte of its response is sent.
# Raises TooManyRequests and Busy.
InjectedCountWaiting = Annotated[Callable[[], None], Depends(_count_waiting)]


async def check_query_once(request: Request) -> None:
    """Raise InvalidInput if a query parameter is repeated."""
    names = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in names.items():
        if times > 1:
            raise InvalidInput(
                f"The query parameter {name[:40]!r} must be given once, got {times}."
            )
