"""The routes of the page as a part of the HTTP application."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.responses import RedirectResponse

from serve_app.api import hosts, negotiation
from serve_app.api.dependencies import InjectedServices
from serve_app.api.part import ApiPart
from serve_app.api.route_rules import route_path
from serve_app.api.services import Services
from serve_app.page.bundle import Asset, Bundle

PATH = "/page"

_NEVER_CACHED = "no-store"
_CACHED_FOR_EVER = "public, max-age=31536000, immutable"
_READING = ["GET", "HEAD"]
_HTML, _JSON = "text/html", "application/json"
_DIGEST = re.compile("[0-9a-f]{16}")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Page:
    """The page's files, and the Content-Security-Policy of its HTML."""

    bundle: Bundle
    policy: str


@router.api_route(PATH, methods=_READING)
async def read_start(request: Request, services: InjectedServices) -> Response:
    """Return the HTML with the view of all songs."""
    return _html(request, services, "views/start.js")


@router.api_route(f"{PATH}/songs/{{song_id}}", methods=_READING)
async def read_song(request: Request, services: InjectedServices) -> Response:
    """Return the HTML with the view of a song, whether or not there is one."""
    return _html(request, services, "views/song.js")


@router.api_route(f"{PATH}/operations", methods=_READING)
async def read_operations(request: Request, services: InjectedServices) -> Response:
    """Return the HTML with the view for operators."""
    return _html(request, services, "views/operations.js")


@router.api_route(f"{PATH}/", methods=_READING)
@router.api_route(f"{PATH}/songs/{{song_id}}/", methods=_READING)
@router.api_route(f"{PATH}/operations/", methods=_READING)
async def drop_slash(request: Request, services: InjectedServices) -> Response:
    """Redirect to the same path without its final slash."""
    root = hosts.root_path(request.scope, services.public_url)
    target = quote(f"{root}{route_path(request.scope).rstrip('/')}")
    query = request.url.query
    return RedirectResponse(
        f"{target}?{query}" if query else target,
        headers={"Cache-Control": _NEVER_CACHED},
    )


@router.api_route(f"{PATH}/{{digest}}/{{path:path}}", methods=_READING)
async def read_file(
    request: Request, services: InjectedServices, digest: str, path: str
) -> Response:
    """Return a file of this version of the page; 404 for one of another version.

    A page that was loaded before an update must not run with files of after it.
    """
    page: Page = request.app.state.page
    file = page.bundle.find(digest, path)
    if file is not None:
        headers = {"Cache-Control": _CACHED_FOR_EVER}
        return _answer(request, file, headers)
    if path and _DIGEST.fullmatch(digest):
        raise HTTPException(404)
    return _nothing(request, services)


@router.api_route(f"{PATH}/{{name}}", methods=_READING)
async def read_unknown(request: Request, services: InjectedServices) -> Response:
    """Return 404: to people as the page, to programs as an error of the API."""
    return _nothing(request, services)


def _nothing(request: Request, services: Services) -> Response:
    """Return 404 as what the client prefers."""
    if not negotiation.prefers(request.headers, _HTML, _JSON):
        raise HTTPException(404, headers={"Vary": "Accept"})
    found = _html(request, services, "views/nothing.js")
    found.status_code = 404
    found.headers.add_vary_header("Accept")
    return found


def _html(request: Request, services: Services, view: str) -> Response:
    """Return the HTML, which differs only in the modules that are loaded first."""
    page: Page = request.app.state.page
    root = hosts.root_path(request.scope, services.public_url)
    headers = {
        "Cache-Control": _NEVER_CACHED,
        "Content-Security-Policy": page.policy,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return _answer(request, page.bundle.page(root, view), headers)


def _answer(request: Request, asset: Asset, headers: Mapping[str, str]) -> Response:
    coding = negotiation.coding(request.headers, tuple(asset.encoded))
    body = asset.encoded.get(coding, asset.body)
    sent = {**headers, "Vary": "Accept-Encoding"}
    if coding in asset.encoded:
        sent["Content-Encoding"] = coding
    if request.method == "HEAD":
        sent["Content-Length"] = str(len(body))
        return Response(headers=sent, media_type=asset.media_type)
    return Response(body, headers=sent, media_type=asset.media_type)


def part(page: Page) -> ApiPart:
    """Return the part that serves `page` to everyone."""
    return ApiPart(
        "page",
        (),
        public_routers=(router,),
        scope="",
        is_linkable=False,
        state={"page": page},
    )
