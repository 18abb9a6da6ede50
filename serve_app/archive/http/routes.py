"""What operators and newer clients ask of the archive."""

from datetime import timedelta
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.archive.errors import MediaNotFound
from serve_app.archive.http import bearer
from serve_app.archive.http.services import ArchiveServices
from serve_app.archive.http.wire import (
    ArchiveStatus,
    MediaView,
    QueueCounts,
    Retried,
    Retry,
)
from serve_app.archive.media import Media, MediaState

public_router = APIRouter(tags=["archive"])
router = APIRouter(tags=["archive"])
# What changes the archive needs its own secret, as `/trigger` does.
secret_router = APIRouter(tags=["archive"], dependencies=[Depends(bearer.required)])

_TEMPORARY_REDIRECT, _NO_CONTENT = 307, 204


@public_router.get("/status", summary="State of the archive")
async def get_status(request: Request) -> ArchiveStatus:
    """Count the media in each state."""
    services: ArchiveServices = request.app.state.archive
    counts = await run_in_thread(services.media.counts)
    queue = QueueCounts(**{state.value: number for state, number in counts.items()})
    return ArchiveStatus(queue=queue, archived=counts[MediaState.READY])


@public_router.get(
    "/media/{key:path}", summary="Get media", status_code=_TEMPORARY_REDIRECT
)
async def get_media(key: str, request: Request) -> Response:
    """Redirect to the process that streams media."""
    services: ArchiveServices = request.app.state.archive
    return RedirectResponse(_url(services, request, key), _TEMPORARY_REDIRECT)


@router.get(
    "/archive/media/{key:path}",
    summary="Get what became of media",
    response_model_exclude_none=True,
    responses=documented(MediaNotFound),
)
async def describe(key: str, request: Request) -> MediaView:
    """Return the state of media, and what is known of it."""
    services: ArchiveServices = request.app.state.archive
    media = await run_in_thread(services.media.find, key)
    state = await run_in_thread(services.media.state, media)
    is_pending = state is MediaState.PENDING
    return MediaView(
        key=media.key,
        state=state.value,
        url=_url(services, request, media.object_key or media.key),
        created_at=media.created_at,
        updated_at=media.updated_at,
        size_bytes=media.size_bytes,
        sha256=media.sha256,
        media_type=media.media_type,
        duration_seconds=media.duration_seconds,
        failures=media.failures,
        error=media.error,
        error_code=media.error_code,
        next_try_at=media.next_try_at,
        waits_until=(
            await run_in_thread(services.media.waits_until, media)
            if is_pending
            else None
        ),
        is_blocked=media.blocked_at is not None,
    )


@secret_router.post("/retry", summary="Try media again")
async def retry(given: Retry, request: Request) -> Retried:
    """Fetch media again that failed, now rather than at its time."""
    services: ArchiveServices = request.app.state.archive
    before = services.triggers.clock() - timedelta(seconds=given.older_than_seconds)
    queued = await run_in_thread(
        services.triggers.retry_failed, given.host.lower(), before, given.limit
    )
    services.wake()
    return Retried(queued=queued)


# Where one address leads to both processes, `/media` is the streaming one's.
@secret_router.delete("/archive/media/{key:path}", include_in_schema=False)
@secret_router.delete(
    "/media/{key:path}",
    summary="Take media down",
    status_code=_NO_CONTENT,
    responses=documented(MediaNotFound),
)
async def take_down(key: str, request: Request) -> Response:
    """Delete every copy of media, and fetch it no more until an operator allows it."""
    services: ArchiveServices = request.app.state.archive
    media = await run_in_thread(_blocked, services, key)
    if media.job_id is not None:
        services.stop(media.job_id)
    return Response(status_code=_NO_CONTENT)


@secret_router.post(
    "/archive/allow/{key:path}",
    summary="Allow media that was taken down",
    status_code=_NO_CONTENT,
    responses=documented(MediaNotFound),
)
async def allow(key: str, request: Request) -> Response:
    """Let media be asked for again that was taken down."""
    services: ArchiveServices = request.app.state.archive
    await run_in_thread(services.media.allow, key)
    return Response(status_code=_NO_CONTENT)


def _blocked(services: ArchiveServices, key: str) -> Media:
    try:
        media = services.media.block(key)
    except MediaNotFound:
        if services.earlier is None:
            raise
        return services.earlier.take_down(key)
    services.triggers.cancel(media)
    return media


def _url(services: ArchiveServices, request: Request, key: str) -> str:
    base = services.url.rstrip("/")
    if not base:
        host = request.url.hostname or "localhost"
        name = f"[{host}]" if ":" in host else host
        base = f"{request.url.scheme}://{name}:{services.port}"
    return f"{base}/media/{quote(key)}"
