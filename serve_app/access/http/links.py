"""The route that makes signed links."""

from urllib.parse import unquote

from fastapi import APIRouter, Request

from serve_app.access import scopes
from serve_app.access.wire import LinkList, LinkRequest, LinkView
from serve_app.api.clients import Client
from serve_app.api.dependencies import InjectedBaseUrl, InjectedClient, InjectedServices
from serve_app.api.links import TOKEN
from serve_app.api.problems import documented
from serve_app.api.route_rules import RouteRule, RouteRules
from serve_app.errors import Forbidden, InvalidInput

_METHOD = "GET"

router = APIRouter(tags=["access"])


@router.post(
    "/links",
    summary="Make signed links",
    responses=documented(Forbidden, InvalidInput),
)
async def make_links(
    given: LinkRequest,
    request: Request,
    client: InjectedClient,
    services: InjectedServices,
    base_url: InjectedBaseUrl,
) -> LinkList:
    """Return URLs that open paths without credentials, for pages and players.

    Each opens one path, for GET and HEAD, and also with another query. It expires, and
    it ends when the API key does that made it. Where access is open, the URLs have no
    token.
    """
    rules: RouteRules = request.app.state.rules
    for target in given.paths:
        _check(client, _rule(rules, target))
    links = [services.door.link(client, target) for target in given.paths]
    return LinkList(
        links=[
            LinkView(
                path=target, url=f"{base_url}{link.target}", expires_at=link.expires_at
            )
            for target, link in zip(given.paths, links, strict=True)
        ]
    )


def _rule(rules: RouteRules, target: str) -> RouteRule:
    """Return the rule of a path; raise InvalidInput if links can't open it."""
    path, _, query = target.partition("?")
    scope = {"type": "http", "method": _METHOD, "path": unquote(path), "headers": []}
    rule = rules.of(scope)
    if rule is None or not rule.opens_by_link(_METHOD):
        raise InvalidInput(
            f"{target[:80]!r} can't be opened by a link. Links are for paths with a "
            "GET that reads what belongs to a job, such as /job/{job_id}/events."
        )
    if any(part.startswith(f"{TOKEN}=") for part in query.split("&")):
        raise InvalidInput(
            f"{target[:80]!r} must not have a {TOKEN}: it gets a new one."
        )
    return rule


def _check(client: Client, rule: RouteRule) -> None:
    """Raise Forbidden unless the client may read what a link to a route opens."""
    required = rule.scope(_METHOD)
    if client.credential and not scopes.allow(client.scopes, required):
        raise Forbidden(
            f"These credentials don't allow links that require the scope {required}. "
            "Ask the operator for a key with that scope.",
            required,
        )
