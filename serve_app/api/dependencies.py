"""What routes ask for."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Annotated

from fastapi import Depends, Request

from serve_app.api import clients, hosts
from serve_app.api.clients import Client
from serve_app.api.limits import Limit
from serve_app.api.services import Services
from serve_app.errors import InvalidInput, TenantRequired


# Coroutines, so that no thread is needed to look into a dict.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


InjectedServices = Annotated[Services, Depends(_services)]


async def _base_url(request: Request, services: InjectedServices) -> str:
    return services.public_url or hosts.base_url(request.scope)


# Of this service, as the client of the request at hand reaches it. It must not get into
# anything that others are answered: the client may have made up its host.
InjectedBaseUrl = Annotated[str, Depends(_base_url)]


async def client(request: Request, services: InjectedServices) -> Client:
    """Return who sends a request; TenantRequired when it must be a tenant and is none.

    Each route that has to do with jobs or songs asks for it: see `create_app`.
    """
    found = clients.of(request.scope, services.tenant_header)
    if services.tenant_header and not found.is_tenant:
        raise TenantRequired(
            f"The header {services.tenant_header} must be there once, with the name of "
            "one tenant and no comma in it. The gateway before this service sets it: "
            "send the request through the gateway."
        )
    return found


InjectedClient = Annotated[Client, Depends(client)]


async def _count_waiting(
    request: Request, client: InjectedClient
) -> AsyncIterator[Callable[[], None]]:
    waiting: Limit = request.app.state.waiting
    with ExitStack() as held:
        yield lambda: held.enter_context(waiting.held(client.name))


# Counts the request among those that wait, until the last byte of its answer is sent;
# raises TooManyRequests and Busy.
InjectedCountWaiting = Annotated[Callable[[], None], Depends(_count_waiting)]


async def check_query_once(request: Request) -> None:
    """Raise InvalidInput for a query parameter that is given more than once."""
    names = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in names.items():
        if times > 1:
            raise InvalidInput(f"Give one {name[:40]!r}, not {times}.")
