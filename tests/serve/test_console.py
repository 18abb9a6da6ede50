"""A console in a real browser, from another origin, through proxies and gateways."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import soundfile
from ray import serve

from deployments.api import Api, RequestLimits
from deployments.args import AppArgs
from serve_app.settings import Settings
from tests import browser as browsers
from tests import media
from tests.serve.conftest import CONSOLE_PORT, CORS_ORIGINS
from tests.serve.fronts import INNER_HOST, Front, Gateway, Page, Proxy
from tests.serve.service import STEMS, Service

CONSOLE = Path(__file__).parent / "console" / "index.html"
TIMEOUT_MS = 100_000
ASK = "([url, method]) => fetch(url, { method }).then(response => response.text())"
SEND = """url => {
  const body = new FormData()
  body.append('file', document.getElementById('song').files[0])
  return fetch(url, { method: 'POST', mode: 'no-cors', body }).then(() => null)
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.launched() as chromium:
        yield chromium


@pytest.fixture
def console(browser: Any) -> Iterator[Any]:
    """Open the console from the allowed origin, which is not the service's."""
    with opened(browser, CONSOLE_PORT) as page:
        yield page


@contextmanager
def opened(browser: Any, port: int = 0) -> Iterator[Any]:
    """Open the console, served from a port; by default a free one."""
    with Page(CONSOLE, port) as front:
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{front.url}/")
        yield page
        page.close()


@dataclass(frozen=True)
class Song:
    """A song and its exact length."""

    path: Path
    frames: int
    sample_rate: int


@pytest.fixture(scope="module", params=[("wav16", 44_100, 2), ("flac", 48_000, 1)])
def song(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Song:
    kind, sample_rate, channels = request.param
    path = tmp_path_factory.mktemp("song") / f"노래 1{media.KINDS[kind]}"
    media.write_song(
        path, kind, seconds=2.345, sample_rate=sample_rate, channels=channels
    )
    return Song(path, soundfile.info(path).frames, sample_rate)


@pytest.fixture(scope="module")
def proxy(service: Service) -> Iterator[Front]:
    with Proxy(service.url) as front:
        yield front


_ONGOING = 64


@contextmanager
def api(service: Service, name: str, **settings: Any) -> Iterator[str]:
    """Run another Api at /{name} with the pools and the data of the service."""
    dispatcher = serve.get_deployment_handle("DispatcherReplica", "stemserve")
    analyzer = serve.get_deployment_handle("Analyzer", "stemserve")
    systems, handles = AppArgs().made(), {"stems": {"analyzer": analyzer}}
    chosen = Settings(
        data_dir=service.data_dir, model="demo", cors_origins=CORS_ORIGINS, **settings
    )
    deployment = serve.deployment(serve.ingress()(Api)).options(
        ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=_ONGOING
    )
    limits = RequestLimits(_ONGOING, chosen.stream_seconds)
    bound = deployment.bind(chosen, limits, systems, handles, dispatcher)
    serve.run(bound, name=name, route_prefix=f"/{name}")
    yield f"/{name}"
    serve.delete(name)


@pytest.fixture(scope="module")
def public(service: Service, proxy: Front) -> Iterator[str]:
    """Yield the public URL of an Api that is configured with it."""
    with api(service, "public", public_url=f"{proxy.url}/public") as path:
        yield f"{proxy.url}{path}"


@pytest.fixture(scope="module")
def trusting(service: Service, proxy: Front) -> Iterator[str]:
    """Yield the proxy's URL of an Api that trusts the proxy."""
    with api(service, "trusting", trusted_proxies=("127.0.0.0/8",)) as path:
        yield f"{proxy.url}{path}"


def use(console: Any, song: Song, url: str) -> dict[str, Any]:
    """Analyse and separate a song in the browser; return the results."""
    console.set_input_files("#song", song.path)
    found: dict[str, Any] = console.evaluate("api => use(api)", url)
    return found


def assert_whole(found: dict[str, Any], song: Song, base: str) -> None:
    """Check that each stem came from `base` and has the song's exact length."""
    assert found["analysis"]["bpm"] > 0
    assert set(found["stems"]) == set(STEMS)
    for name, stem in found["stems"].items():
        assert stem["url"] == f"{base}/job/{found['id']}/stems/{name}"
        assert (stem["frames"], stem["sampleRate"]) == (song.frames, song.sample_rate)
    assert max(stem["peak"] for stem in found["stems"].values()) > 0.05


def test_without_a_public_url(console: Any, song: Song, service: Service) -> None:
    found = use(console, song, service.url)
    assert found["base"] == service.url
    assert_whole(found, song, service.url)
    assert console.evaluate("job => forgotten(job)", found) == 404


def test_the_page_of_a_stranger_reads_lists_and_changes_nothing(
    browser: Any, song: Song, service: Service
) -> None:
    job_id = service.submit(song.path)
    before = [job["job_id"] for job in service.listed()]
    with opened(browser) as stranger:
        stranger.set_input_files("#song", song.path)
        for path, method in (
            ("/jobs", "GET"),
            (f"/job/{job_id}", "GET"),
            (f"/job/{job_id}", "DELETE"),
            ("/separate", "POST"),
        ):
            request = [f"{service.url}{path}", method]
            with pytest.raises(browsers.error(), match="Failed to fetch"):
                stranger.evaluate(ASK, request)
        # Sent without a preflight, like a form; the page can't read the response.
        stranger.evaluate(SEND, f"{service.url}/separate")
    assert service.wait(job_id)["status"] == "completed"
    assert [job["job_id"] for job in service.listed()] == before


def test_with_a_public_url_behind_a_proxy_that_changes_the_host(
    console: Any, song: Song, public: str
) -> None:
    found = use(console, song, public)
    assert found["base"] == public
    assert_whole(found, song, public)


def test_behind_a_trusted_proxy_that_changes_the_host(
    console: Any, song: Song, trusting: str
) -> None:
    found = use(console, song, trusting)
    assert_whole(found, song, trusting)


def test_a_proxy_that_is_not_trusted_is_not_believed(
    console: Any, song: Song, service: Service, proxy: Front
) -> None:
    """The stems have the proxy's Host, which this browser can't resolve."""
    with pytest.raises(browsers.error(), match="Failed to fetch"):
        use(console, song, proxy.url)
    newest = service.listed()[0]["job_id"]
    headers = {"Host": INNER_HOST, "X-Forwarded-Host": "evil.example"}
    stems = service.job(newest, headers)["stems"]
    assert stems["drums"]["download_url"].startswith(f"http://{INNER_HOST}/job/")


def test_through_a_gateway(console: Any, song: Song, service: Service) -> None:
    with Gateway(service.url) as gateway:
        found = use(console, song, gateway.url)
        assert found["base"] == gateway.url
    assert_whole(found, song, service.url)


def test_through_a_gateway_past_which_clients_poll(
    console: Any, song: Song, public: str
) -> None:
    with Gateway(public) as gateway:
        found = use(console, song, gateway.url)
    assert found["base"] == public
    assert_whole(found, song, public)
