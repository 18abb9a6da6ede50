"""The routes of the process that streams media."""

from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serve_app.archive.http.streaming import playlists, public_urls
from serve_app.archive.http.streaming.public_urls import PublicUrls
from serve_app.archive.http.streaming.streams import Streams
from serve_app.errors import BadRequest

_SCHEMES = ("http://", "https://")


async def stream(request: Request) -> Response:
    """Send an episode: the stored one, or else that of its source."""
    parts = request.path_params
    return await _streams(request).of_identity(request, parts, _urls(request))


async def media(request: Request) -> Response:
    """Send media by its key, or by the name of its object."""
    key = request.path_params["key"]
    return await _streams(request).of_key(request, key, _urls(request))


async def proxy(request: Request) -> Response:
    """Send the media at `url`: one of this server, of a store, or of a source."""
    return await _streams(request).of_url(request, _asked_url(request), _urls(request))


async def health(request: Request) -> JSONResponse:
    """Return whether media is fetched, and what is configured. Always 200."""
    report = await _streams(request).health()
    return JSONResponse(
        {"status": "ok", **report, **request.app.state.configured},
        headers={"Cache-Control": "no-store"},
    )


ROUTES = [
    Route("/stream/{mal_id}/{episode}/{provider}/{resolution}", stream),
    Route("/proxy", proxy),
    Route("/media/{key:path}", media),
    Route("/health", health),
]


def _streams(request: Request) -> Streams:
    found: Streams = request.app.state.streams
    return found


def _urls(request: Request) -> PublicUrls:
    return public_urls.of_request(request.scope, request.app.state.public_url)


def _asked_url(request: Request) -> str:
    """Return the URL in the query; raise BadRequest unless it is a good one.

    A plus sign is one: `encodeURIComponent` encodes blanks as %20.
    """
    for pair in request.url.query.split("&"):
        name, _, value = pair.partition("=")
        if unquote(name) == "url":
            url = playlists.encoded(unquote(value).strip())
            if url.lower().startswith(_SCHEMES) and public_urls.has_host(url):
                return url
            raise BadRequest(
                f"`url` must be an http:// or https:// URL, percent-encoded, got "
                f"{unquote(value)[:80]!r}."
            )
    raise BadRequest("`url` is missing: /proxy?url= and a percent-encoded URL.")
