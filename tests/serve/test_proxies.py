"""The configurations of nginx and Caddy suit the service, tried with both programs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import media
from tests.ports import free_port
from tests.proxies import caddy, nginx, running
from tests.serve.application import running_demo
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.service import STEMS, Service

MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def behind(cluster: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run the service behind a trusted proxy; yield its own port."""
    settings = {
        "lease_seconds": LEASE_SECONDS,
        "trusted_proxies": "127.0.0.1",
        "max_upload_bytes": MOST_BYTES,
    }
    with running_demo(cluster, tmp_path_factory.mktemp("data"), **settings):
        yield cluster


@pytest.fixture(params=[nginx, caddy])
def proxy(
    request: pytest.FixtureRequest, behind: int, tmp_path: Path
) -> Iterator[Service]:
    """Run a proxy in front of the service."""
    port = free_port()
    url = f"http://localhost:{port}"
    with running(request.param(tmp_path, port, behind), tmp_path, f"{url}/livez"):
        yield Service(url, tmp_path)


def test_songs_come_back_from_the_proxys_own_address(
    proxy: Service, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=3.0)
    job = proxy.wait(proxy.submit(song))
    urls = [job["stems"][name]["download_url"] for name in STEMS]
    assert all(url.startswith(f"{proxy.url}/job/") for url in urls)
    assert len(proxy.stem(job, "drums")) == job["stems"]["drums"]["size"]


def test_what_a_client_says_of_its_host_is_replaced(proxy: Service) -> None:
    headers = {"X-Forwarded-Host": "evil.invalid", "X-Forwarded-Proto": "ftp"}
    found = httpx.get(f"{proxy.url}/config", headers=headers)
    assert found.status_code == 200
    assert "evil.invalid" not in found.text
    assert "ftp:" not in found.text


def test_events_are_passed_on_at_once(proxy: Service, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=30.0, sample_rate=22_050)
    job_id = proxy.submit(song)
    times: dict[str, float] = {}
    with httpx.stream("GET", f"{proxy.url}/job/{job_id}/events", timeout=60) as events:
        for line in events.iter_lines():
            if line.startswith("data:"):
                times.setdefault(json.loads(line[5:])["status"], time.monotonic())
    # A buffer would have held them all back to the end.
    assert times["completed"] - min(times.values()) > 0.5


def test_a_song_that_is_too_large_gets_the_services_own_message(
    proxy: Service,
) -> None:
    files = {"file": ("song.wav", bytes(MOST_BYTES + 1))}
    answer = httpx.post(f"{proxy.url}/separate", files=files)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
