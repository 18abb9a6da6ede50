"""Tasks over HTTP, for those without a queue."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from serve_app.api import idempotency
from serve_app.api.dependencies import InjectedClient
from serve_app.api.threads import run_in_thread
from serve_app.errors import JobNotFound
from serve_app.library import messages
from serve_app.library.http.services import LibraryServices
from serve_app.library.http.wire import TaskAccepted, TaskView
from serve_app.library.kinds import NAMES
from serve_app.library.task import TaskName

router = APIRouter(tags=["library"])

_ACCEPTED = 202


@router.post(
    "/library/tasks",
    summary="Send a task",
    status_code=_ACCEPTED,
    response_model=TaskAccepted,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {
                        "task": "app.tasks.process_audio_analysis",
                        "id": "analysis-5f0c-1764201600000",
                        "kwargs": {
                            "stemId": "5f0c",
                            "filepath": "audio/kick.wav",
                            "num_peaks": 4000,
                        },
                    },
                }
            },
        }
    },
)
async def submit(
    request: Request, client: InjectedClient, _: idempotency.Key = None
) -> Response:
    """Add a task: the body is a message of the queue, in any of its forms.

    A message with the same `id`, task and arguments is the same task, and adds nothing.
    The result is sent to the receiver of webhooks.
    """
    services: LibraryServices = request.app.state.library
    text = (await request.body()).decode("utf-8", "replace")
    task = messages.parsed(text)
    once = idempotency.once(request, client, [text])
    if once is not None and (before := await once.before()):
        return idempotency.replayed(before)
    job_id = await run_in_thread(
        services.arrivals.add, task, tenant=client.tenant, client=client.name
    )
    services.wake(NAMES[TaskName(task.name)])
    path = f"/library/tasks/{job_id}"
    found = TaskAccepted(job_id=job_id, task=task.name, status_path=path)
    body = found.model_dump(mode="json")
    if once is not None and (before := await once.keep(_ACCEPTED, body)):
        return idempotency.replayed(before)
    return JSONResponse(body, _ACCEPTED, {"Location": path})


@router.get("/library/tasks/{job_id}", summary="Get a task", response_model=TaskView)
async def get_task(job_id: str, request: Request, client: InjectedClient) -> Any:
    """Return what became of a task, for 14 days after its end."""
    services: LibraryServices = request.app.state.library
    for store in services.stores.values():
        if job := await run_in_thread(store.find_of, client.tenant, job_id):
            return TaskView(
                job_id=job.id,
                task=job.request.name,
                state=job.state,
                attempts=job.attempt,
                created_at=job.created_at,
                updated_at=job.updated_at,
                error=job.error,
                error_code=job.error_code,
                result=None if job.result is None else dict(job.result.fields),
            )
    raise JobNotFound("There is no such task, or it ended more than 14 days ago.")
