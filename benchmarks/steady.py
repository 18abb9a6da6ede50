"""Response times of short requests while other clients load the server.

    python benchmarks/steady.py [--seconds 30] [--only NAME ...] [--json FILE]

The server starts as in `benchmarks/idle.py`. In each situation a separate process makes
the load, from 127.0.0.2. This process is another client, from 127.0.0.1: it requests
/livez ten times a second, and sends songs of 5 s one after another, each from
`POST /separate` to `completed`. The load and both clients share the machine's cores
with the server.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import httpx  # noqa: E402

from benchmarks.idle import free_port, server  # noqa: E402

_LOAD_ADDRESS = "127.0.0.2"
_BOUNDARY = "steady"
_UPLOAD_BYTES = 5_000_000
_LONG_SONG_SECONDS = 1800
_SETTLE_SECONDS = 3.0
_PAUSE_SECONDS = 1.0

# The server's Retry-After.
_RETRY_SECONDS = 5.0

# One client of the load; runs until cancelled, and counts statuses and errors.
Load = Callable[[int, str, "Counter[str]"], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """The other client's measurements in one situation, and the load's statuses."""

    situation: str
    livez_seconds: Sequence[float]
    song_seconds: Sequence[float]
    statuses: dict[str, int]
    load_statuses: dict[str, int]

    def line(self) -> str:
        """Return the row as Markdown."""
        times = sorted(self.livez_seconds)
        livez = [times[int(len(times) * share)] for share in (0.5, 0.99)]
        songs = sorted(self.song_seconds)
        song = f"{songs[len(songs) // 2]:.2f}/{songs[-1]:.2f}" if songs else "none"
        return (
            f"| {self.situation} | {livez[0]:.3f} | {livez[1]:.3f} | {times[-1]:.3f} "
            f"| {song} | {_said(self.statuses)} | {_said(self.load_statuses)} |"
        )


def wav(seconds: float, rate: int, channels: int) -> bytes:
    """Return a unique song of noise, as a 16-bit wav."""
    data = os.urandom(int(seconds * rate) * channels * 2)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, channels, rate),
        *(rate * channels * 2, channels * 2, 16, b"data", len(data)),
    )
    return head + data


def flac(seconds: int, rate: int, channels: int, bits: int = 16) -> bytes:
    """Return a FLAC of one constant value, which has only a few bytes per second.

    Frames follow RFC 9639, section 9. `seconds` times `rate` must be a multiple of the
    block's 4000 samples.
    """
    block, count = 4000, seconds * rate // 4000
    info = (rate << 44) | (channels - 1 << 41) | (bits - 1 << 36) | seconds * rate
    stream = b"fLaC\x80\0\0\x22" + struct.pack(">HH", block, block) + bytes(6)
    frames = [stream + info.to_bytes(8, "big") + bytes(16)]
    value = struct.pack(">H", int.from_bytes(os.urandom(1), "big") + 1)
    subframes = (b"\0" + value) * channels
    for number in range(count):
        # The block size has 16 bits; rate and depth are in the stream's header.
        head = b"\xff\xf8\x70" + bytes([channels - 1 << 4]) + _coded(number)
        head += struct.pack(">H", block - 1)
        frame = head + bytes([_crc(head, 8, 0x07)]) + subframes
        frames.append(frame + struct.pack(">H", _crc(frame, 16, 0x8005)))
    return b"".join(frames)


def _coded(number: int) -> bytes:
    """Return a frame's number in UTF-8's encoding, extended to 36 bits."""
    if number < 0x80:
        return bytes([number])
    tail: list[int] = []
    while number >= 1 << (6 - len(tail)):
        tail.insert(0, 0x80 | number & 0x3F)
        number >>= 6
    return bytes([(0xFF << (7 - len(tail)) & 0xFF) | number, *tail])


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table, register = _crc_table(bits, polynomial), 0
    for byte in data:
        register = (register << 8 ^ table[register >> bits - 8 ^ byte]) & (
            1 << bits
        ) - 1
    return register


@cache
def _crc_table(bits: int, polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        register = byte << bits - 8
        for _ in range(8):
            carry = register >> bits - 1
            register = (register << 1 ^ polynomial * carry) & (1 << bits) - 1
        table.append(register)
    return table


def form(song: bytes) -> bytes:
    """Return a song as a multipart form."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
    return (
        f'{head}filename="song.wav"\r\n\r\n'.encode()
        + song
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )


def post(length: int) -> bytes:
    """Return the headers of a `POST /separate` with a body of `length` bytes."""
    return (
        "POST /separate HTTP/1.1\r\nHost: localhost\r\nCache-Control: no-cache\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def listen(port: int, job_id: str, seen: Counter[str]) -> None:
    """Follow a job by server-sent events."""
    path = f"/job/{job_id}/events"
    async with _connected(port) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        seen[await _status(reader)] += 1
        while await reader.read(65536):
            pass


async def trickle(port: int, _: str, seen: Counter[str]) -> None:
    """Send a body at one byte per five seconds."""
    async with _connected(port) as (reader, writer):
        writer.write(post(1_000_000))
        answered = asyncio.ensure_future(_status(reader))
        try:
            while not answered.done():
                writer.write(b"-")
                await writer.drain()
                await asyncio.wait([answered], timeout=5)
            seen[answered.result()] += 1
            # TimeoutError if the server does not close the connection.
            while await asyncio.wait_for(reader.read(65536), 60):
                pass
        finally:
            answered.cancel()


async def upload(port: int, _: str, seen: Counter[str]) -> None:
    """Send one song of 5 MB; retry after each refusal."""
    await _sent(port, form(wav(_UPLOAD_BYTES / 4 / 44_100, 44_100, 2)), seen)
    await asyncio.Event().wait()


async def compressed(port: int, _: str, seen: Counter[str]) -> None:
    """Send two hours in a few MB: first a song over the limits, then a valid one."""
    await _post(port, _songs_of_two_hours()[0], seen)
    await _sent(port, _songs_of_two_hours()[1], seen)


@cache
def _songs_of_two_hours() -> tuple[bytes, bytes]:
    return form(flac(7200, 192_000, 8)), form(flac(7200, 44_000, 2))


async def _sent(port: int, body: bytes, seen: Counter[str]) -> None:
    """Post a song until it is accepted or refused permanently."""
    status = "429"
    while status in ("429", "503", "closed"):
        status = await _post(port, body, seen)
        await asyncio.sleep(_RETRY_SECONDS)


async def _post(port: int, body: bytes, seen: Counter[str]) -> str:
    """Post a song; stop sending at a response. Return the status."""
    async with _connected(port) as (reader, writer):
        answered = asyncio.ensure_future(_status(reader))
        writer.write(post(len(body)))
        for start in range(0, len(body), 65536):
            if answered.done():
                break
            writer.write(body[start : start + 65536])
            with suppress(ConnectionError):
                await writer.drain()
        status = await answered
        seen[status] += 1
    return status


async def poll(port: int, job_id: str, seen: Counter[str]) -> None:
    """Poll a job every two seconds."""
    async with _connected(port) as (reader, writer):
        while True:
            writer.write(
                f"GET /job/{job_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            headers = await reader.readuntil(b"\r\n\r\n")
            seen[headers.split()[1].decode()] += 1
            length = headers.lower().partition(b"content-length:")[2].split()[0]
            await reader.readexactly(int(length))
            await asyncio.sleep(2)


SITUATIONS: dict[str, tuple[int, Load | None]] = {
    "nothing else": (0, None),
    "1000 listeners": (1000, listen),
    "700 trickling bodies": (700, trickle),
    "200 pollers": (200, poll),
    "4 times 2 hours of FLAC": (4, compressed),
    # Must be last, because it leaves songs in the queue.
    "150 uploads of 5 MB": (150, upload),
}


class _connected:
    """A connection to the server from the load's address."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(_LOAD_ADDRESS, 0)
        )
        return reader, self._writer

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()


async def _status(reader: asyncio.StreamReader) -> str:
    line = await reader.readline()
    return line.split()[1].decode() if line else "closed"


async def _again(load: Load, port: int, job_id: str, seen: Counter[str]) -> None:
    """Repeat one client of the load until cancelled, with a delay after each run."""
    while True:
        try:
            await load(port, job_id, seen)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            seen[type(error).__name__] += 1
        await asyncio.sleep(_RETRY_SECONDS)


def make_load(name: str, port: int, job_id: str, seconds: float, path: Path) -> None:
    """Run the load of a situation for `seconds`; write its statuses to `path`."""
    count, load = SITUATIONS[name]
    if load is None:
        return
    seen: Counter[str] = Counter()

    async def run() -> None:
        tasks = [
            asyncio.create_task(_again(load, port, job_id, seen)) for _ in range(count)
        ]
        await asyncio.wait(tasks, timeout=seconds)

    asyncio.run(run())
    path.write_text(json.dumps(seen))
    # Exit without waiting for tasks and connections.
    os._exit(0)


async def probe(url: str, seen: Counter[str], seconds: float) -> list[float]:
    """Request /livez ten times a second; return the response times."""
    times, end = [], time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            seen[f"livez {await _asked(client, '/livez')}"] += 1
            times.append(time.perf_counter() - began)
            await asyncio.sleep(0.1)
    return times


async def songs(url: str, seen: Counter[str], seconds: float) -> list[float]:
    """Send songs of 5 s; return the seconds from each request to `completed`."""
    times, end = [], time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            try:
                answer = await client.post(
                    "/separate", files={"file": ("song.wav", wav(5, 44_100, 2))}
                )
                seen[f"song {answer.status_code}"] += 1
                if answer.status_code == 200:
                    await _completed(client, answer.json()["job_id"], end + 30)
                    times.append(time.perf_counter() - began)
            except (httpx.TransportError, TimeoutError) as error:
                seen[f"song {type(error).__name__}"] += 1
            await asyncio.sleep(_PAUSE_SECONDS)
    return times


async def _completed(client: httpx.AsyncClient, job_id: str, end: float) -> None:
    while time.monotonic() < end:
        answer = await client.get(f"/job/{job_id}")
        if answer.is_success and answer.json()["status"] == "completed":
            return
        await asyncio.sleep(0.2)
    raise TimeoutError


async def _asked(client: httpx.AsyncClient, path: str) -> str:
    try:
        return str((await client.get(path)).status_code)
    except httpx.TransportError as error:
        return type(error).__name__


async def measure(url: str, seconds: float) -> tuple[list[float], list[float], Counter]:  # type: ignore[type-arg]
    """Probe and send songs for `seconds`."""
    seen: Counter[str] = Counter()
    livez, song = await asyncio.gather(
        probe(url, seen, seconds), songs(url, seen, seconds)
    )
    return livez, song, seen


def row(name: str, url: str, seconds: float, folder: Path) -> Row:
    """Measure one situation."""
    port, job_id, path = int(url.rpartition(":")[2]), _long_job(url), folder / "seen"
    path.write_text("{}")
    load = None
    if SITUATIONS[name][1] is compressed:
        _songs_of_two_hours()
    if SITUATIONS[name][1] is not None:
        arguments = (name, port, job_id, seconds + _SETTLE_SECONDS, path)
        load = multiprocessing.Process(target=make_load, args=arguments)
        load.start()
        # The first requests count too, but not the time to create 150 songs.
        time.sleep(_SETTLE_SECONDS if name.startswith("150") else 0)
    livez, song, seen = asyncio.run(measure(url, seconds))
    if load is not None:
        load.join()
    httpx.delete(f"{url}/job/{job_id}", timeout=60)
    return Row(name, livez, song, dict(seen), json.loads(path.read_text()))


def _long_job(url: str) -> str:
    """Send a song that is not completed before the situation ends."""
    answer = httpx.post(
        f"{url}/separate",
        files={"file": ("long.wav", wav(_LONG_SONG_SECONDS, 8000, 1))},
        data={"priority": "low"},
        timeout=120,
    )
    return str(answer.raise_for_status().json()["job_id"])


def _said(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counted.items()))


def main() -> None:
    """Measure each situation and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="+", choices=SITUATIONS, default=[*SITUATIONS])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    port, rows = free_port(), []
    print("| situation | /livez p50 s | p99 s | max s | song, median/max s ", end="")
    print("| other client | load |\n|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as directory, server(Path(directory), port):
        for name in options.only:
            found = row(
                name, f"http://127.0.0.1:{port}", options.seconds, Path(directory)
            )
            print(found.line(), flush=True)
            rows.append(found)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in rows], indent=1))


if __name__ == "__main__":
    main()
