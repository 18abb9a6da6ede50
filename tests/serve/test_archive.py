"""The archive end to end: triggers in, media out, while its processes are killed."""

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.args import checked
from tests import hls
from tests.origin import Origin, Trouble
from tests.serve.application import running
from tests.serve.conftest import LEASE_SECONDS
from tests.serve.service import Service, processes, wait_for

# `make verify` sends 200.
TRIGGERS = int(os.environ.get("ARCHIVE_TRIGGERS", "30"))
FULL_SIZE = TRIGGERS >= 200
KILL_EVERY_SECONDS = 20.0 if FULL_SIZE else 6.0
SAID = "what only the API server knows"
BEARER = {"Authorization": f"Bearer {SAID}"}
TROUBLE = Trouble(seed=7, cuts=0.1, stalls=0.02, errors=0.04, refusals=0.02)
# A third of the media are playlists.
PLAYLIST_EVERY = 3
SEGMENTS = 40 if FULL_SIZE else 6


@dataclass
class Archive:
    """The archive that runs, and the sources of its media."""

    service: Service
    origin: Origin

    def trigger(self, number: int, path: str) -> httpx.Response:
        body = {
            "mal_id": 1,
            "episode": 1 + number,
            "provider": "example",
            "video_url": self.origin.url + path,
            "resolution": None,
        }
        url = f"{self.service.url}/trigger"
        return httpx.post(url, json=body, headers=BEARER, timeout=60)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(
            f"{self.service.url}/status", timeout=60
        ).json()
        return found

    def described(self, number: int) -> dict[str, Any]:
        key = f"1:{1 + number}:example:unknown"
        found: dict[str, Any] = httpx.get(
            f"{self.service.url}/archive/media/{key}", timeout=60
        ).json()
        return found

    def stored(self, number: int) -> bytes:
        key = self.described(number)["url"].split("/media/", 1)[1]
        return (self.service.data_dir / "archive" / key).read_bytes()


@pytest.fixture(scope="module")
def archive(
    cluster: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    data_dir = tmp_path_factory.mktemp("data")
    args = checked(
        {
            "settings": {
                "data_dir": data_dir,
                "lease_seconds": LEASE_SECONDS,
                "archive_hosts": "127.0.0.1",
                "archive_allow_networks": "127.0.0.0/8",
                "archive_secret": SAID,
                "archive_stall_seconds": 2,
                "archive_downloads": 5,
                "archive_downloads_per_host": 5,
                "archive_reserve_bytes": 0,
            },
            "dispatcher": {"num_replicas": 2},
            "systems": {"archive": {"worker": {"num_replicas": 2}}},
        }
    )
    with (
        closing(Origin(TROUBLE)) as origin,
        running(cluster, args, data_dir) as service,
    ):
        yield Archive(service, origin)


def content(number: int) -> bytes:
    """Return an mp3 of some size; FULL_SIZE as the issue's, 1 to 50 MB."""
    drawn = random.Random(number)
    most = 50_000_000 if FULL_SIZE else 3_000_000
    size = drawn.randrange(1_000_000, most)
    frame = bytes.fromhex("fffb9064") + drawn.randbytes(413)
    return (frame * (size // len(frame) + 1))[:size]


@contextmanager
def killing(name: str, every_seconds: float) -> Iterator[list[int]]:
    """Kill one of the replicas of a deployment now and then; yield whom."""
    done, killed = threading.Event(), list[int]()

    def rage() -> None:
        while not done.wait(every_seconds):
            found = processes(name)
            if len(found) > 1:
                with suppress(ProcessLookupError):
                    os.kill(found[0].pid, signal.SIGKILL)
                    killed.append(found[0].pid)

    thread = threading.Thread(target=rage)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def playlist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hls")
    names = [f"{number}.ts" for number in range(SEGMENTS)]
    for name, segment in zip(names, hls.segments(SEGMENTS), strict=True):
        (folder / name).write_bytes(segment)
    (folder / "index.m3u8").write_bytes(hls.playlist(names))
    return folder


@pytest.mark.timeout(3600 if FULL_SIZE else 300)
def test_all_media_is_archived_once_while_processes_are_killed(
    archive: Archive, playlist: Path
) -> None:
    origin, wanted = archive.origin, dict[int, bytes]()
    for number in range(TRIGGERS):
        if number % PLAYLIST_EVERY == 0:
            origin.add_folder(playlist, f"/{number}")
            path = f"/{number}/index.m3u8"
        else:
            wanted[number] = content(number)
            path = f"/{number}.mp3"
            origin.add(path, wanted[number])
        assert archive.trigger(number, path).json()["queued"] is True
    sizes = sum(map(len, wanted.values())) + sum(
        path.stat().st_size for path in playlist.iterdir()
    ) * len(range(0, TRIGGERS, PLAYLIST_EVERY))
    with killing("DispatcherReplica", KILL_EVERY_SECONDS) as killed:
        wait_for(
            lambda: archive.status()["archived"] == TRIGGERS,
            3000.0 if FULL_SIZE else 240.0,
        )
    assert killed
    for number, body in wanted.items():
        assert archive.described(number)["sha256"] == hashlib.sha256(body).hexdigest()
    one = hashlib.sha256(archive.stored(0)).digest()
    for number in range(0, TRIGGERS, PLAYLIST_EVERY):
        assert hashlib.sha256(archive.stored(number)).digest() == one
    print(f"{origin.sent_bytes / sizes:.2f} times the content; killed {len(killed)}")
    assert origin.sent_bytes < 1.3 * sizes


def test_a_worker_that_is_killed_goes_on_where_it_was(archive: Archive) -> None:
    body = content(1_000)
    number = TRIGGERS + 1
    archive.origin.add("/slow.mp3", body, pause_seconds=0.1)
    assert archive.trigger(number, "/slow.mp3").json()["queued"] is True
    wait_for(lambda: archive.origin.sent_of("/slow.mp3") > 500_000)
    for process in processes("ArchiveWorker"):
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: archive.described(number)["state"] == "ready", 60)
    assert archive.described(number)["sha256"] == hashlib.sha256(body).hexdigest()
    assert archive.described(number)["failures"] == 0
    assert archive.origin.sent_of("/slow.mp3") < 1.3 * len(body)


def test_what_was_downloaded_is_deleted_when_its_job_has_ended(
    archive: Archive,
) -> None:
    partials = archive.service.data_dir / "archive-partials"
    wait_for(lambda: not [each for each in partials.rglob("*") if each.is_file()], 120)


def test_media_that_is_gone_says_so_and_holds_nothing_up(archive: Archive) -> None:
    number = TRIGGERS + 2
    archive.trigger(number, "/missing.mp4")
    wait_for(lambda: archive.described(number)["state"] == "failed", 60)
    found = archive.described(number)
    assert found["error_code"] == "source_failed"
    assert found["next_try_at"]


def test_a_take_down_deletes_every_copy(archive: Archive) -> None:
    key = "1:2:example:unknown"
    place = archive.described(1)["url"].split("/media/", 1)[1]
    stored = archive.service.data_dir / "archive" / place
    assert stored.exists()
    url = f"{archive.service.url}/media/{key}"
    assert httpx.delete(url, timeout=60).status_code == 401
    assert httpx.delete(url, headers=BEARER, timeout=60).status_code == 204
    wait_for(lambda: not stored.exists(), 60)
    assert archive.trigger(1, "/1.mp3").status_code == 410
    time.sleep(1)
    assert not stored.exists()
