"""FastAPI dependencies of the routes of stems."""

from typing import Annotated

from fastapi import Depends, Query, Request

from serve_app.api.dependencies import InjectedBaseUrl, InjectedClient
from serve_app.stems.analysis_jobs.request import AnalysisJob
from serve_app.stems.http.checksums import Checksums
from serve_app.stems.http.derived import Derived
from serve_app.stems.http.intake import Intake
from serve_app.stems.http.services import StemsServices
from serve_app.stems.http.song_request import SongRequest
from serve_app.stems.http.watch import JobWatch
from serve_app.stems.request import SeparationJob

LONGEST_WAIT_SECONDS = 60


# Coroutines, because FastAPI runs plain functions in a thread.
async def _services(request: Request) -> StemsServices:
    services: StemsServices = request.app.state.stems
    return services


async def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.stems_intake
    return intake


async def _watch(request: Request) -> JobWatch[SeparationJob]:
    watch: JobWatch[SeparationJob] = request.app.state.stems_watch
    return watch


async def _analysis_watch(request: Request) -> JobWatch[AnalysisJob]:
    watch: JobWatch[AnalysisJob] = request.app.state.stems_analysis_watch
    return watch


async def _derived(request: Request) -> Derived:
    derived: Derived = request.app.state.stems_derived
    return derived


async def _checksums(request: Request) -> Checksums:
    checksums: Checksums = request.app.state.stems_checksums
    return checksums


InjectedStems = Annotated[StemsServices, Depends(_services)]
InjectedIntake = Annotated[Intake, Depends(_intake)]
InjectedWatch = Annotated[JobWatch[SeparationJob], Depends(_watch)]
InjectedAnalysisWatch = Annotated[JobWatch[AnalysisJob], Depends(_analysis_watch)]
InjectedDerived = Annotated[Derived, Depends(_derived)]
InjectedChecksums = Annotated[Checksums, Depends(_checksums)]


async def _song_request(
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    intake: InjectedIntake,
    base_url: InjectedBaseUrl,
) -> SongRequest:
    return SongRequest(request, client, services, intake, base_url)


InjectedSongRequest = Annotated[SongRequest, Depends(_song_request)]

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        description="Respond when the job has ended, or after this many seconds.",
    ),
]
