"""The configurations of nginx and Caddy suit the service, tried with both programs."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import media
from tests.ports import free_port
from tests.serve.application import running_demo
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.service import STEMS, Service, wait_for

CONFIGS = Path(__file__).parents[2] / "configs" / "proxies"
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


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    """Return nginx's command with the configuration, on these ports, without TLS."""
    lines = (CONFIGS / "nginx.conf").read_text().splitlines()
    site = "\n".join(line for line in lines if "ssl_certificate" not in line)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace("stems.example.com", "localhost")
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{name}_temp_path {folder}/{name};" for name in places)
    config = folder / "nginx.conf"
    # The workers' user can't write to a directory of root's.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config)]


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    """Return Caddy's command with the configuration, on these ports, without TLS."""
    site = (CONFIGS / "Caddyfile").read_text()
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace("stems.example.com", f"http://localhost:{port}")
    config = folder / "Caddyfile"
    config.write_text(f"{{\n\tadmin off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


@contextmanager
def running(command: list[str], folder: Path, url: str) -> Iterator[None]:
    """Run a proxy until the block ends."""
    with (folder / "log").open("wb") as log:
        # Caddy keeps its state there.
        places = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **places}
        )
    try:
        wait_for(lambda: process.poll() is not None or is_there(url), 20)
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def is_there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(params=[nginx, caddy])
def proxy(
    request: pytest.FixtureRequest, behind: int, tmp_path: Path
) -> Iterator[Service]:
    """Run a proxy in front of the service."""
    program = request.param.__name__
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    port = free_port()
    url = f"http://localhost:{port}"
    with running(request.param(tmp_path, port, behind), tmp_path, url):
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
