"""The rules of routes: each request finds that of its route, and cheaply."""

import pytest
from fastapi import APIRouter, FastAPI
from starlette.types import Scope

from serve_app.api.route_rules import Need, RouteRule, RouteRules, route_path

OPEN = RouteRule(Need.NOTHING)
STEMS = RouteRule(Need.SCOPE, "stems", is_linkable=True)
READING = RouteRule(Need.SCOPE, "stems", only_reads=True)
ADMIN = RouteRule(Need.ADMIN)


async def endpoint() -> None:
    """Stand in for all endpoints."""


def rules() -> RouteRules:
    app, found = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), RouteRules()
    for rule, method, path in (
        (OPEN, "GET", "/health"),
        (STEMS, "GET", "/job/{job_id}"),
        (STEMS, "DELETE", "/job/{job_id}"),
        (READING, "POST", "/job/{job_id}/links"),
        (ADMIN, "GET", "/keys"),
        (STEMS, "GET", "/{anything}/last"),
    ):
        router, before = APIRouter(), len(app.routes)
        router.add_api_route(path, endpoint, methods=[method])
        app.include_router(router)
        found.add(app.routes[before:], rule)
    found.check(app.routes)
    return found


def request(method: str, path: str, root: str = "") -> Scope:
    return {"type": "http", "method": method, "path": path, "root_path": root}


@pytest.mark.parametrize(
    ("method", "path", "rule", "template"),
    [
        ("GET", "/health", OPEN, "/health"),
        ("GET", "/job/ab", STEMS, "/job/{job_id}"),
        ("POST", "/job/ab/links", READING, "/job/{job_id}/links"),
        ("GET", "/keys", ADMIN, "/keys"),
        ("GET", "/else/last", STEMS, "/{anything}/last"),
        ("GET", "/keys/last", STEMS, "/{anything}/last"),
        # The router ignores a line break at the end.
        ("GET", "/keys\n", ADMIN, "/keys"),
    ],
)
def test_a_request_has_the_rule_of_its_route(
    method: str, path: str, rule: RouteRule, template: str
) -> None:
    for scope in (request(method, path), request(method, f"/music{path}", "/music")):
        found = rules().find(scope)
        assert found is not None
        assert (found.rule, found.template) == (rule, template)
        assert rules().of(scope) == rule


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/keys"), ("GET", "/nowhere"), ("GET", "/"), ("GET", ""), ("GET", "keys")],
)
def test_an_unknown_path_or_method_has_none(method: str, path: str) -> None:
    assert rules().find(request(method, path)) is None


def test_a_route_tells_its_parameters() -> None:
    found = rules().find(request("DELETE", "/job/ab"))
    assert found is not None
    assert found.parameters == {"job_id": "ab"}


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/music/job", "/music", "/job"),
        ("/music/job", "/music/", "/job"),
        ("/musical/job", "/music", "/musical/job"),
        ("/job", "", "/job"),
    ],
)
def test_a_path_is_that_below_the_application(path: str, root: str, below: str) -> None:
    assert route_path(request("GET", path, root)) == below


@pytest.mark.parametrize(
    ("rule", "method", "scope", "is_linkable"),
    [
        (STEMS, "GET", "stems:read", True),
        (STEMS, "HEAD", "stems:read", True),
        (STEMS, "OPTIONS", "stems:read", False),
        (STEMS, "POST", "stems:write", False),
        (READING, "POST", "stems:read", False),
        (READING, "GET", "stems:read", False),
        (ADMIN, "GET", "admin", False),
        (OPEN, "GET", "", False),
        (RouteRule(Need.OWN, "stems", is_linkable=True), "GET", "", False),
    ],
)
def test_a_rule_tells_the_scope_and_whether_a_link_is_enough(
    rule: RouteRule, method: str, scope: str, is_linkable: bool
) -> None:
    assert rule.scope(method) == scope
    assert rule.opens_by_link(method) is is_linkable


def test_a_route_without_a_rule_is_an_error() -> None:
    app = FastAPI()
    with pytest.raises(ValueError, match="has no rule"):
        RouteRules().check(app.routes)
