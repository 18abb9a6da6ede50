"""Media to fetch, as the API server and newer clients ask for it."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from serve_app.api.threads import run_in_thread
from serve_app.archive.errors import NotAllowed
from serve_app.archive.http import asked, bearer
from serve_app.archive.http.services import ArchiveServices
from serve_app.archive.identity import Identity
from serve_app.archive.kind import Fetch
from serve_app.archive.media import Known, MediaState
from serve_app.errors import BadRequest, RefusedUrl

router = APIRouter(tags=["archive"], dependencies=[Depends(bearer.required)])


@router.post("/trigger", summary="Archive media")
async def trigger(request: Request) -> dict[str, Any]:
    """Fetch the media at a URL and keep it, unless that was done before.

    The body is `{"mal_id", "episode", "provider", "video_url", "resolution"}`, or for
    any other media `{"key", "url"}`. It is `Authorization: Bearer` with the archive's
    own secret that lets in. `queued` is false, with a `reason`, if the media is being
    fetched or is there.
    """
    services: ArchiveServices = request.app.state.archive
    fetch = asked.parsed(await request.body())
    known = await run_in_thread(_add, services, fetch)
    if known is None:
        services.wake()
    elif known.state is not MediaState.PENDING:
        return {"queued": False, "reason": known.state.value}
    identity = fetch.identity
    if identity is None:
        return {"queued": True, "key": fetch.key}
    return {
        "queued": True,
        "mal_id": identity.mal_id,
        "episode": identity.episode,
        "provider": identity.provider,
    }


def _add(services: ArchiveServices, fetch: Fetch) -> Known | None:
    try:
        if fetch.identity is not None:
            services.check_identity(fetch.identity)
            if _is_stored_before(services, fetch.identity):
                return Known(MediaState.READY, None)
        return services.triggers.add(fetch)
    except (NotAllowed, RefusedUrl) as err:
        # Its clients know 400 only.
        raise BadRequest(err.detail) from err


def _is_stored_before(services: ArchiveServices, identity: Identity) -> bool:
    """Whether the archive before this one has stored an episode."""
    return services.earlier is not None and services.earlier.has(identity)
