"""A client that asks without pause, and what it is told of a job that exists."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import httpx

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
