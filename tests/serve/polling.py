"""A client that polls a job very often, and the responses that it gets."""

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
    """The responses to a polling client: the count of each status, and the faults."""

    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    refused: int = 0

    def add(self, response: httpx.Response) -> None:
        self.statuses[response.status_code] = (
            self.statuses.get(response.status_code, 0) + 1
        )
        if response.status_code == 404:
            self.wrong.append(f"404: {response.text}")
        if "access-control-allow-origin" not in response.headers:
            self.wrong.append(f"{response.status_code} without CORS: {response.text}")


@contextmanager
def polled(url: str) -> Iterator[Seen]:
    """Request `url` every 20 ms as a browser does, whether the port is open or not."""
    seen, stop = Seen(), Event()

    async def request(client: httpx.AsyncClient) -> None:
        try:
            seen.add(await client.get(url, headers={"Origin": ORIGIN}))
        except httpx.TransportError:
            seen.refused += 1

    async def poll() -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            requests = []
            while not stop.is_set():
                requests.append(asyncio.create_task(request(client)))
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.gather(*requests)

    thread = Thread(target=lambda: asyncio.run(poll()))
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
