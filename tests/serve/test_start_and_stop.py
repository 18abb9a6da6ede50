"""What clients and the person at the terminal see of a start, a stop and a start."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from tests import media
from tests.serve.conftest import free_port
from tests.serve.servers import own_server

ORIGIN = "http://console.example"
POLL_SECONDS = 0.02


@dataclass
class Seen:
    """What a client that polls has got: how often which status, and what is wrong."""

    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    refused: int = 0

    def add(self, answer: httpx.Response) -> None:
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        if answer.status_code == 404:
            self.wrong.append(f"404: {answer.text}")
        if "access-control-allow-origin" not in answer.headers:
            self.wrong.append(f"{answer.status_code} without CORS: {answer.text}")


@contextmanager
def polled(url: str) -> Iterator[Seen]:
    """Ask for `url` every 20 ms as a browser does, whether anything listens or not."""
    seen, stop = Seen(), Event()

    async def ask(client: httpx.AsyncClient) -> None:
        try:
            seen.add(await client.get(url, headers={"Origin": ORIGIN}))
        except httpx.TransportError:
            seen.refused += 1

    async def poll() -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            asked = []
            while not stop.is_set():
                asked.append(asyncio.create_task(ask(client)))
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.gather(*asked)

    thread = Thread(target=lambda: asyncio.run(poll()))
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.timeout(300)
def test_a_job_that_exists_is_never_404_through_stop_and_start(tmp_path: Path) -> None:
    """And what the terminal shows meanwhile is a handful of lines for a person."""
    data_dir, port = tmp_path / "data", free_port()
    song = tmp_path / "Blue Monday.wav"
    media.write_song(song, seconds=3.0)
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with own_server(data_dir, first, port) as (service, _):
        job_id = service.submit(song)
        assert service.wait(job_id)["status"] == "completed"
    url = f"{service.url}/job/{job_id}"
    with polled(url) as seen, own_server(data_dir, second, port):
        wait_for_answers(seen)
    assert not seen.wrong
    assert seen.statuses[200] > 0
    assert seen.refused > 0, "the polling began too late to see the port open"
    assert_a_person_can_read(first.read_text(), song, job_id, port)


def wait_for_answers(seen: Seen) -> None:
    """Return once the poller has been answered a few times."""
    pause = Event()
    for _ in range(200):
        if seen.statuses.get(200, 0) > 5:
            return
        pause.wait(0.05)
    raise AssertionError(seen)


def assert_a_person_can_read(shown: str, song: Path, job_id: str, port: int) -> None:
    lines = shown.splitlines()
    assert 5 <= len(lines) <= 10, shown
    assert "pid=" not in shown
    assert "infinite retries" not in shown
    assert f"http://127.0.0.1:{port}/docs" in shown
    assert re.search(r"model loaded name=demo runtime=\w+", shown)
    done = next(line for line in lines if "song separated" in line)
    assert f"job={job_id}" in done
    assert f'name="{song.name}"' in done
    assert re.search(r"speed=[\d.]+x queued=[\d.]+s fetch=[\d.]+s separate=", done)
    assert "analyze=" in done
    assert "has stopped" in lines[-1]
