"""Changes of jobs as server-sent events."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from serve_app.api.dependencies import (
    InjectedClient,
    InjectedCountWaiting,
    InjectedLinks,
    InjectedStreams,
)
from serve_app.api.links import ClientLinks
from serve_app.api.problems import documented
from serve_app.api.streams import Streams
from serve_app.api.threads import run_in_thread
from serve_app.errors import Busy, JobNotFound, TooManyRequests, Unavailable
from serve_app.stems import view
from serve_app.stems.http import lookup
from serve_app.stems.http.dependencies import InjectedStems, InjectedWatch
from serve_app.stems.http.services import StemsServices
from serve_app.stems.http.watch import JobWatch
from serve_app.stems.request import SeparationJob

router = APIRouter(tags=["separation"])

# Proxies close connections that are idle for a minute.
KEEPALIVE_SECONDS = 15.0
# How long clients wait after a lost connection. Browsers wait 3 to 5 s by default.
_RETRY_MS = 1000
_RETRY = format_sse_event(retry=_RETRY_MS)


@router.get(
    "/job/{job_id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={
        200: {
            "description": "The job, whenever it changes, until it is over",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The job is over, and `Last-Event-ID` was its last event"},
        **documented(JobNotFound, TooManyRequests, Unavailable, Busy),
    },
)
async def read_events(
    job_id: str,
    request: Request,
    client: InjectedClient,
    services: InjectedStems,
    watch: InjectedWatch,
    count_waiting: InjectedCountWaiting,
    links: InjectedLinks,
    streams: InjectedStreams,
) -> Response:
    """Stream the job, as `/job/{job_id}` returns it, now and whenever it changes.

    The stream of server-sent events (`EventSource` in browsers) ends when the job is
    over, and before that when the server asks its client to reconnect. A client that
    reconnects with `Last-Event-ID` gets the changes since. A job that is deleted ends
    as `cancelled`.
    """
    # First, so that refused requests cost little.
    count_waiting()
    job = await run_in_thread(lookup.find_job, services, client, job_id)
    seen = request.headers.get("last-event-id")
    if seen == _version(job) and view.is_over(job):
        # A 204 makes an EventSource stop reconnecting.
        return Response(status_code=204)
    return EventSourceResponse(
        _events(partial(_event, services, links), watch, job, seen, streams),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    event: Callable[[SeparationJob], Awaitable[bytes]],
    watch: JobWatch[SeparationJob],
    job: SeparationJob,
    seen: str | None,
    streams: Streams,
) -> AsyncIterator[bytes]:
    stream = streams.begin()
    # Sent at once, so that the client knows it is connected.
    is_known = seen == _version(job)
    yield _RETRY + (KEEPALIVE_COMMENT if is_known else await event(job))
    if view.is_over(job):
        return
    last = _version(job)
    async with aclosing(watch.changes(job, KEEPALIVE_SECONDS)) as changes:
        while True:
            try:
                async with stream.limit():
                    changed = await anext(changes, None)
            except TimeoutError:
                yield _reconnect(streams.delay_seconds())
                return
            if changed is None:
                return
            is_new = _version(changed) != last or view.is_over(changed)
            last = _version(changed)
            yield await event(changed) if is_new else KEEPALIVE_COMMENT
            if view.is_over(changed):
                return


def _reconnect(delay_seconds: float) -> bytes:
    """Return what ends a stream whose client shall come back after a delay."""
    return format_sse_event(comment="reconnect", retry=int(1000 * delay_seconds))


def _version(job: SeparationJob) -> str:
    return job.updated_at.isoformat()


async def _event(
    services: StemsServices, links: ClientLinks, job: SeparationJob
) -> bytes:
    view = await lookup.shown(services, job, links)
    data = view.model_dump_json(exclude_none=True)
    return format_sse_event(data_str=data, id=_version(job))
