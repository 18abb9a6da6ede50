"""The API routes of the toy system."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel

from echo.kind import NAME, Echo, EchoRequest
from serve_app.api.dependencies import InjectedClient
from serve_app.api.part import ApiPart
from serve_app.api.threads import run_in_thread
from serve_app.errors import JobNotFound
from serve_app.jobs.job import Job, State
from serve_app.jobs.store import JobStore

router = APIRouter()


@dataclass(frozen=True)
class EchoServices:
    """The services that the routes need."""

    store: JobStore[EchoRequest, Echo]
    wake: Callable[[], None]
    stop: Callable[[str], None]


class EchoBody(BaseModel):
    """The body of `POST /echo`."""

    text: str
    seconds: float = 0.0
    webhook_url: str | None = None


@router.post("/echo")
async def submit(body: EchoBody, request: Request, client: InjectedClient) -> str:
    """Submit a text; returns the job's id."""
    services: EchoServices = request.app.state.echo
    now = datetime.now(UTC)
    job: Job[EchoRequest, Echo] = Job(
        uuid4().hex,
        EchoRequest(body.text, body.seconds, body.webhook_url),
        State.QUEUED,
        created_at=now,
        updated_at=now,
        tenant=client.tenant,
        client=client.name,
    )
    await run_in_thread(services.store.add, job)
    services.wake()
    return job.id


@router.get("/echo/{job_id}")
async def get_job(job_id: str, request: Request, client: InjectedClient) -> Any:
    """Return the state of a job."""
    services: EchoServices = request.app.state.echo
    job = await run_in_thread(services.store.get, job_id)
    if job.tenant != client.tenant:
        raise JobNotFound(f"There is no job {job_id}.")
    return {
        "state": job.state,
        "stage": job.stage,
        "attempt": job.attempt,
        **({} if job.result is None else asdict(job.result)),
    }


@router.delete("/echo/{job_id}")
async def cancel(job_id: str, request: Request, _: InjectedClient) -> None:
    """Cancel a job."""
    services: EchoServices = request.app.state.echo
    await run_in_thread(services.store.cancel, job_id)
    services.stop(job_id)


def part(services: EchoServices) -> ApiPart:
    """Return the routes and services as a part of the API."""
    origins = ("https://echo.example.com",)
    return ApiPart(
        "echo",
        (router,),
        state={"echo": services},
        cors_origins=origins,
        kinds=(NAME,),
    )
