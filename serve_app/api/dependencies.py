"""What routes ask for."""

from typing import Annotated

from fastapi import Depends, Request

from serve_app.api import hosts
from serve_app.api.services import Services
from serve_app.api.uploads import Intake
from serve_app.api.watch import JobWatch


# Coroutines, so that no thread is needed to look into a dict.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.intake
    return intake


async def _watch(request: Request) -> JobWatch:
    watch: JobWatch = request.app.state.watch
    return watch


InjectedServices = Annotated[Services, Depends(_services)]
InjectedWatch = Annotated[JobWatch, Depends(_watch)]
InjectedIntake = Annotated[Intake, Depends(_intake)]


async def _base_url(request: Request, services: InjectedServices) -> str:
    return services.public_url or hosts.base_url(request.scope)


# Of this service, as the client of the request at hand reaches it. It must not get into
# anything that others are answered: the client may have made up its host.
InjectedBaseUrl = Annotated[str, Depends(_base_url)]
