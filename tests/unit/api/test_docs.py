"""The page at `/docs` loads nothing from other hosts, also behind a prefix."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.docs import SWAGGER_UI
from serve_app.webhooks.target import WebhookEvent
from tests.unit.api.test_app import CALLS
from tests.unit.live import serving
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.usefixtures("anyio_backend")

ASSETS = Path(__file__).parents[3] / "serve_app" / "api" / "assets"
ADDRESS = re.compile(r'(?:href|src)="([^"]*)"')


def stripped(app: ASGIApp, prefix: str) -> ASGIApp:
    """Stand in for a proxy that serves `app` below a prefix and tells it nothing."""

    async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(prefix), scope["path"]
            path = scope["path"].removeprefix(prefix)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return proxied


def parts(page: httpx.Response) -> list[httpx.URL]:
    return [page.url.join(address) for address in ADDRESS.findall(page.text)]


def assert_whole(page: httpx.Response) -> None:
    """Check that all that a page refers to is there, on the same server."""
    assert page.status_code == 200
    found = parts(page)
    assert len(found) == 6
    for url in found:
        assert (url.host, url.port) == (page.url.host, page.url.port)
        assert httpx.get(url).status_code == 200, url


@pytest.mark.parametrize("prefix", ["", "/stems", "/music/api/v2"])
def test_the_page_is_whole_behind_a_proxy_that_strips_its_prefix(
    server: Server, prefix: str
) -> None:
    with serving(stripped(server.app, prefix)) as url:
        assert_whole(httpx.get(f"{url}{prefix}/docs"))


@pytest.mark.parametrize("prefix", ["/stems", "/music/api/v2"])
def test_the_page_is_whole_below_a_root_path(server: Server, prefix: str) -> None:
    # The proxy strips the prefix; uvicorn, which is told of it, puts it back.
    with serving(stripped(server.app, ""), root_path=prefix) as url:
        page = httpx.get(f"{url}/docs")
        assert_whole(page)


@pytest.mark.anyio
async def test_the_page_may_load_from_its_own_server_only(server: Server) -> None:
    page = await server.client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        directive.split(" ", 1)
        for directive in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    for what in ("script-src", "style-src", "connect-src"):
        assert policy[what] == "'self'"
    assert not any("http" in sources for sources in policy.values())
    assert page.headers["cache-control"] == "no-cache"
    head = await server.client.head("/docs")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.anyio
async def test_browsers_keep_what_has_a_version_and_ask_about_the_rest(
    server: Server,
) -> None:
    page = await server.client.get("/docs")
    for url in parts(page):
        answer = await server.client.get(url)
        if "/assets/" not in url.path:
            continue
        is_versioned = f"/{SWAGGER_UI}/" in url.path
        caching = answer.headers["cache-control"]
        assert ("immutable" in caching) == is_versioned, url
        assert ("no-cache" in caching) != is_versioned, url
        assert answer.headers["x-content-type-options"] == "nosniff"
        known = {"If-None-Match": answer.headers["etag"]}
        again = await server.client.get(url, headers=known)
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    ["/docs/assets/none.js", "/docs/assets/../docs.py", "/docs/assets/", "/redoc"],
)
async def test_what_is_none_of_it_is_not_found(server: Server, path: str) -> None:
    assert_problem(await server.client.get(path), 404, "not_found")


def test_swagger_ui_is_the_version_it_is_said_to_be_with_its_licence() -> None:
    version = SWAGGER_UI.removeprefix("swagger-ui-")
    folder = ASSETS / SWAGGER_UI
    assert version in (folder / "swagger-ui-bundle.js").read_text()
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert SWAGGER_UI in (ASSETS / "docs.html").read_text()
    assert f"`swagger-ui-dist` {version}" in (ASSETS / "README.md").read_text()


@pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed"
)
@pytest.mark.parametrize("prefix", ["", "/music/api"])
def test_a_browser_without_a_network_shows_the_calls_and_their_examples(
    server: Server, prefix: str, tmp_path: Path
) -> None:
    with serving(stripped(server.app, prefix)) as url:
        done = subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
                f"--user-data-dir={tmp_path / 'profile'}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                *("--enable-logging=stderr", "--virtual-time-budget=20000"),
                "--dump-dom",
                f"{url}{prefix}/docs#/separation/separate_separate_post",
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
    shown = set(re.findall(r'data-path="([^"]*)"', done.stdout))
    assert shown == {path for _, path in CALLS} | set(WebhookEvent)
    assert re.findall(r'aria-pressed="\w+">([^<]*)<', done.stdout)[:3] == [
        *("curl", "Python", "JavaScript")
    ]
    assert f"server={url}{prefix}\n" in done.stdout
    assert "http://localhost:8000" not in done.stdout
    assert "Content Security Policy" not in done.stderr
    assert "ERR_NAME_NOT_RESOLVED" not in done.stderr
