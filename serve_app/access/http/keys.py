"""The routes that create, list, rotate and revoke API keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from serve_app.access import new_key
from serve_app.access.http.services import AccessServices
from serve_app.access.view import created_key, key_view
from serve_app.access.wire import (
    Caller,
    CreatedKey,
    KeyList,
    KeyRequest,
    KeyView,
    RotateRequest,
)
from serve_app.api.dependencies import InjectedClient
from serve_app.api.problems import documented
from serve_app.api.threads import run_in_thread
from serve_app.errors import InvalidInput, KeyNotFound, Unavailable


async def _services(request: Request) -> AccessServices:
    services: AccessServices = request.app.state.access
    return services


InjectedAccess = Annotated[AccessServices, Depends(_services)]

router = APIRouter(tags=["access"])
admin_router = APIRouter(tags=["access"])


@router.get("/whoami", summary="Show your credentials")
async def whoami(response: Response, client: InjectedClient) -> Caller:
    """Return the tenant and the scopes of the request's credentials."""
    response.headers["Cache-Control"] = "no-store"
    return Caller(
        tenant=client.tenant or None,
        credential=client.credential or None,
        scopes=sorted(client.scopes),
    )


@admin_router.post(
    "/keys",
    status_code=201,
    summary="Create an API key",
    response_model_exclude_none=True,
    responses=documented(InvalidInput, Unavailable),
)
async def create_key(
    given: KeyRequest, response: Response, services: InjectedAccess
) -> CreatedKey:
    """Create an API key. The response shows it once: it can't be read again."""
    response.headers["Cache-Control"] = "no-store"
    now = services.clock()
    new = new_key.checked(given, now)
    new_key.check_systems(new, services.systems)
    key, text = await run_in_thread(services.keys.create, new)
    return created_key(key, text, now)


@admin_router.get(
    "/keys",
    summary="List the API keys",
    response_model_exclude_none=True,
    responses=documented(Unavailable),
)
async def list_keys(response: Response, services: InjectedAccess) -> KeyList:
    """List all API keys, oldest first, also those that were revoked or have expired."""
    response.headers["Cache-Control"] = "no-store"
    keys = await run_in_thread(services.keys.listed)
    views = [key_view(key, services.clock()) for key in keys]
    return KeyList(count=len(views), keys=views)


@admin_router.post(
    "/keys/{key_id}/rotate",
    status_code=201,
    summary="Replace an API key",
    response_model_exclude_none=True,
    responses=documented(InvalidInput, KeyNotFound, Unavailable),
)
async def rotate_key(
    key_id: str,
    response: Response,
    services: InjectedAccess,
    given: RotateRequest | None = None,
) -> CreatedKey:
    """Create a key with the same properties.

    The old key stays valid for `overlap_seconds`.
    """
    response.headers["Cache-Control"] = "no-store"
    overlap_seconds = (given or RotateRequest()).overlap_seconds
    key, text = await run_in_thread(services.keys.rotate, key_id, overlap_seconds)
    return created_key(key, text, services.clock())


@admin_router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    response_model_exclude_none=True,
    responses=documented(KeyNotFound, Unavailable),
)
async def revoke_key(
    key_id: str, response: Response, services: InjectedAccess
) -> KeyView:
    """Revoke an API key: within five seconds it is refused everywhere."""
    response.headers["Cache-Control"] = "no-store"
    key = await run_in_thread(services.keys.revoke, key_id)
    return key_view(key, services.clock())
