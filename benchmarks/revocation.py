"""How soon every Api refuses a revoked key.

    python benchmarks/revocation.py [--apis 3] [--keys 1000] [--rate 100] [--rounds 5]
        [--check]

Each Api is a process of its own, with uvicorn and its own cache of keys, over one
Postgres. Clients send `--rate` requests a second with random keys to random Apis. In
each round one key, which all Apis have just used, is revoked, and sent to each of them
every 50 ms until they refuse it. `--check` fails if that takes 5 s, or if any other key
was ever refused.
"""

import argparse
import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
import uvicorn

from benchmarks.idle import free_port, wait_ready
from serve_app.access.keys import ApiKey, KeyStore, NewKey
from serve_app.database import Database
from tests.databases import Postgres
from tests.unit.access.gate import SECRET, bearer, guarded
from tests.unit.server import running

PROMISED_SECONDS = 5.0
_PATH = "/whoami"
_POLL_SECONDS = 0.05
_SETTLE_SECONDS = 3.0
_SCOPES = frozenset({"*:read", "*:write"})


@dataclass
class Traffic:
    """Requests of clients with valid keys, and those that were refused."""

    sent: int = 0
    refused: list[str] = field(default_factory=list)


async def _serve(url: str, directory: Path, port: int) -> None:
    with Database(url) as database:
        async with running(directory, database) as server, guarded(server) as gate:
            config = uvicorn.Config(gate.app, port=port, log_config=None, ws="none")
            await uvicorn.Server(config).serve()


def serve(url: str, directory: Path, port: int) -> None:
    """Run an Api until the process is terminated."""
    asyncio.run(_serve(url, directory, port))


@contextmanager
def apis(url: str, directory: Path, count: int) -> Iterator[list[str]]:
    """Run processes that serve the application; yield their addresses."""
    context = multiprocessing.get_context("spawn")
    ports = [free_port() for _ in range(count)]
    processes = [
        context.Process(target=serve, args=(url, directory / str(port), port))
        for port in ports
    ]
    for process, port in zip(processes, ports, strict=True):
        (directory / str(port)).mkdir()
        process.start()
    try:
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        for address in addresses:
            wait_ready(f"{address}/livez")
        yield addresses
    finally:
        for process in processes:
            process.terminate()
            process.join()


@asynccontextmanager
async def traffic(
    client: httpx.AsyncClient,
    addresses: Sequence[str],
    headers: Sequence[dict[str, str]],
    rate: float,
) -> AsyncIterator[Traffic]:
    """Send requests with random keys, `rate` a second, until the block ends."""
    found, running_now = Traffic(), set[asyncio.Task[None]]()

    async def send() -> None:
        address = random.choice(addresses)
        sent = random.choice(headers)
        answer = await client.get(f"{address}{_PATH}", headers=sent)
        found.sent += 1
        if answer.status_code != 200:
            found.refused.append(f"{answer.status_code} {answer.text[:80]}")

    async def drive() -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(send())
            running_now.add(task)
            task.add_done_callback(running_now.discard)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    driving = asyncio.create_task(drive())
    try:
        yield found
    finally:
        driving.cancel()
        await asyncio.gather(*running_now)


async def seconds_until_refused(
    client: httpx.AsyncClient, address: str, headers: dict[str, str], began: float
) -> float:
    """Send a key to an Api until it is refused; return the time since `began`."""
    while True:
        answer = await client.get(f"{address}{_PATH}", headers=headers)
        if answer.status_code == 401:
            return time.monotonic() - began
        answer.raise_for_status()
        await asyncio.sleep(_POLL_SECONDS)


async def revoked(
    client: httpx.AsyncClient,
    addresses: Sequence[str],
    keys: KeyStore,
    key: ApiKey,
    headers: dict[str, str],
) -> list[float]:
    """Revoke a key in use; return after which time each Api refused it, in seconds."""
    for address in addresses:
        (await client.get(f"{address}{_PATH}", headers=headers)).raise_for_status()
    await asyncio.to_thread(keys.revoke, key.id)
    began = time.monotonic()
    return await asyncio.gather(
        *(
            seconds_until_refused(client, address, headers, began)
            for address in addresses
        )
    )


async def run(
    url: str, addresses: Sequence[str], options: argparse.Namespace
) -> tuple[list[float], Traffic]:
    """Return the times of all rounds and Apis, and the other requests."""
    with Database(url) as database:
        keys = KeyStore(database, lambda: datetime.now(UTC), SECRET)
        new = [NewKey("app", f"tenant-{n}", _SCOPES) for n in range(options.keys)]
        made = [
            (key, bearer(text.text))
            for key, text in await asyncio.to_thread(lambda: [*map(keys.create, new)])
        ]
        victims, others = made[: options.rounds], made[options.rounds :]
        times: list[float] = []
        sent = [headers for _, headers in others]
        limits = httpx.Limits(max_connections=200)
        async with (
            httpx.AsyncClient(limits=limits, timeout=30) as client,
            traffic(client, addresses, sent, options.rate) as found,
        ):
            for key, headers in victims:
                await asyncio.sleep(_SETTLE_SECONDS)
                round_times = await revoked(client, addresses, keys, key, headers)
                print(*(f"{seconds:.2f} s" for seconds in round_times), flush=True)
                times += round_times
    return times, found


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--apis", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        server = Postgres(directory / "data")
        try:
            with server.new_database() as url:
                Database(url).close()
                with apis(url, directory, options.apis) as addresses:
                    times, found = asyncio.run(run(url, addresses, options))
        finally:
            server.close()
    print(
        f"refused after at most {max(times):.2f} s; {found.sent} requests with other "
        f"keys, {len(found.refused)} of them refused {found.refused[:3]}"
    )
    is_broken = max(times) >= PROMISED_SECONDS or bool(found.refused)
    return int(options.check and is_broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
