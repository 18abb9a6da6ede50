"""The page is served to everyone: its HTML anew, its files for ever."""

from collections.abc import AsyncIterator
from dataclasses import replace

import brotli
import httpx
import pytest
from fastapi import FastAPI

from serve_app.api.app import create_app
from serve_app.api.route_rules import Need, RouteRules
from serve_app.page.bundle import Bundle
from serve_app.page.http.part import PATH, Page, part
from tests.unit.server import Server, assert_problem, connect

pytestmark = pytest.mark.anyio

POLICY = "default-src 'none'"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SONG = "/page/songs/0123456789abcdef0123456789abcdef"
VIEWS = {
    "/page": "views/start.js",
    SONG: "views/song.js",
    "/page/operations": "views/operations.js",
}
NOTHING = "views/nothing.js"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("assets")
    html = '<meta content="{root}">{modules}<script src="{base}/main.js"></script>'
    (directory / "page.html").write_text(html * 5)
    (directory / "views").mkdir()
    for name in ("main.js", *VIEWS.values(), NOTHING):
        (directory / name).write_text("export {}\n")
    (directory / "style.css").write_text("main { color: red }\n" * 100)
    return Bundle(directory)


def app_of(server: Server, bundle: Bundle, **changes: str) -> FastAPI:
    services = replace(server.services, home=PATH, **changes)
    return create_app(services, [part(Page(bundle, POLICY))])


def varies_by(answer: httpx.Response) -> set[str]:
    return {each.strip() for each in answer.headers.get("vary", "").split(",")}


@pytest.fixture
async def client(server: Server, bundle: Bundle) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app_of(server, bundle)) as client:
        yield client


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_each_view_is_html_with_its_modules_and_never_cached(
    client: httpx.AsyncClient, bundle: Bundle, view: str, method: str
) -> None:
    answer = await client.request(method, view)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["referrer-policy"] == "no-referrer"
    expected = bundle.page("", VIEWS[view]).body if method == "GET" else b""
    assert answer.content == expected


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("query", ["", "?language=ko"])
async def test_a_final_slash_is_dropped(
    client: httpx.AsyncClient, view: str, query: str
) -> None:
    answer = await client.get(f"{view}/{query}")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{view}{query}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("coding", ["br", "gzip", "identity"])
async def test_a_file_is_kept_for_ever_in_each_coding(
    client: httpx.AsyncClient, bundle: Bundle, method: str, coding: str
) -> None:
    url = f"/page/{bundle.digest}/style.css"
    answer = await client.request(method, url, headers={"Accept-Encoding": coding})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert "Accept-Encoding" in varies_by(answer)
    assert answer.headers.get("content-encoding", "identity") == coding
    file = bundle.find(bundle.digest, "style.css")
    assert file is not None
    size_bytes = len(file.encoded.get(coding, file.body))
    assert answer.headers["content-length"] == str(size_bytes)
    # The client decodes what it gets.
    assert answer.content == (file.body if method == "GET" else b"")


@pytest.mark.parametrize(
    "path",
    [
        "/page/0123456789abcdef/main.js",
        "/page/{digest}/none.js",
        "/page/{digest}/",
        "/page/{digest}",
        "/page/{digest}/page.html",
        "/page/{digest}/../page.html",
        "/page/{digest}/%2e%2e/bundle.py",
        "/page/songs",
        "/pages",
    ],
)
async def test_what_is_no_file_of_this_version_is_not_found(
    client: httpx.AsyncClient, bundle: Bundle, path: str
) -> None:
    url = path.format(digest=bundle.digest)
    answer = await client.get(url, follow_redirects=True)
    assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["songs", "songs/", "unknown", "unknown/deeper.js", "{digest}", "{digest}/"]
)
async def test_people_get_the_page_where_there_is_nothing(
    client: httpx.AsyncClient, bundle: Bundle, method: str, path: str
) -> None:
    url = f"/page/{path.format(digest=bundle.digest)}"
    answer = await client.request(method, url, headers=BROWSER)
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == POLICY
    assert varies_by(answer) >= {"Accept", "Accept-Encoding"}
    expected = bundle.page("", NOTHING).body if method == "GET" else b""
    assert answer.content == expected


@pytest.mark.parametrize("digest", ["{digest}", "0123456789abcdef"])
async def test_a_file_that_is_missing_is_no_page_to_anyone(
    client: httpx.AsyncClient, bundle: Bundle, digest: str
) -> None:
    url = f"/page/{digest.format(digest=bundle.digest)}/none.js"
    answer = await client.get(url, headers=BROWSER)
    assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize(
    ("host", "root_path", "root"),
    [
        ("server", "", ""),
        ("server", "/stems", "/stems"),
        ("music.example", "", "/a%20b"),
        ("MUSIC.example", "", "/a%20b"),
    ],
)
async def test_the_page_knows_the_prefix_at_which_it_was_requested(
    server: Server, bundle: Bundle, host: str, root_path: str, root: str
) -> None:
    """Serve has prefixes, and a proxy that removes one has a public URL."""
    app = app_of(server, bundle, public_url="https://music.example/a b")
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as it:
        page = (await it.get(f"{root_path}/page")).text
        home = await it.get(f"{root_path}/", headers=BROWSER)
        slash = await it.get(f"{root_path}/page/operations/")
        assert f'content="{root}"' in page
        assert f'"{root}/page/{bundle.digest}/main.js"' in page
        assert home.headers["location"] == f"{root}/page"
        assert slash.headers["location"] == f"{root}/page/operations"
        file = await it.get(f"{root_path}/page/{bundle.digest}/main.js")
        assert file.status_code == 200


async def test_browsers_are_led_from_the_root_to_the_page(
    client: httpx.AsyncClient,
) -> None:
    for method in ("GET", "HEAD"):
        answer = await client.request(method, "/", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (307, "/page")
        assert "Accept" in varies_by(answer)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_programs_get_the_same_from_the_root_as_without_a_page(
    server: Server, client: httpx.AsyncClient, accept: str
) -> None:
    headers = {"Accept": accept}
    with_page = await client.get("/", headers=headers)
    without = await server.client.get("/", headers=headers)
    assert (with_page.status_code, with_page.content) == (200, without.content)
    assert varies_by(with_page) - varies_by(without) == {"Accept"}


async def test_without_a_page_browsers_get_what_programs_get(server: Server) -> None:
    answer = await server.client.get("/", headers=BROWSER)
    assert (answer.status_code, answer.json()["name"]) == (200, "stemserve")
    assert_problem(await server.client.get("/page"), 404, "not_found")


async def test_the_html_is_compressed_too(
    client: httpx.AsyncClient, bundle: Bundle
) -> None:
    async with client.stream(
        "GET", "/page", headers={"Accept-Encoding": "br"}
    ) as answer:
        sent = b"".join([part async for part in answer.aiter_raw()])
    assert brotli.decompress(sent) == bundle.page("", VIEWS["/page"]).body


async def test_the_page_is_not_in_the_description_of_the_api(
    client: httpx.AsyncClient,
) -> None:
    description = (await client.get("/openapi.json")).json()
    assert not [path for path in description["paths"] if path.startswith(PATH)]


async def test_everyone_may_have_the_page_and_nobody_may_change_it(
    server: Server, bundle: Bundle
) -> None:
    rules: RouteRules = app_of(server, bundle).state.rules
    others = ("/page/unknown", "/page/a/b/c.js")
    for path in (*VIEWS, *(f"{view}/" for view in VIEWS), *others):
        for method in ("GET", "HEAD"):
            scope = {"type": "http", "method": method, "path": path}
            rule = rules.of(scope)
            assert rule is not None
            assert rule.need is Need.NOTHING
            assert not rule.opens_by_link(method)
        assert rules.of({"type": "http", "method": "POST", "path": path}) is None
