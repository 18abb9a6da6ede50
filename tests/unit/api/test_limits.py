"""Long requests leave room for short ones, and one client leaves room for others."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from serve_app.api.limits import Limit, limits_of
from serve_app.errors import Busy, TooManyRequests
from tests.unit.live import serving
from tests.unit.server import Server

ONGOING = 8


def test_all_together_get_no_more_than_there_is_nor_one_alone_more_than_half() -> None:
    limit = Limit("songs", 4)
    with limit.held("a"), limit.held("a"):
        with pytest.raises(TooManyRequests, match="2 songs"), limit.held("a"):
            pass
        with (
            limit.held("b"),
            limit.held("c"),
            pytest.raises(Busy, match="4 songs"),
            limit.held("d"),
        ):
            pass
    with limit.held("a"), limit.held("a"):
        """What is over holds nothing."""


def test_a_request_that_fails_holds_nothing_afterwards() -> None:
    limit = Limit("songs", 2)
    for _ in range(3):
        with pytest.raises(OSError, match="lost"), limit.held("a"):
            raise OSError("lost")


@pytest.mark.parametrize("ongoing", [1, 8, 64, 512])
def test_limits_leave_room_for_short_requests(ongoing: int) -> None:
    limits = limits_of(ongoing)
    with ExitStack() as stack:
        held = 0
        for limit in limits:
            for client in range(ongoing + 1):
                try:
                    stack.enter_context(limit.held(str(client)))
                except Busy:
                    break
                held += 1
    assert 0 < held <= max(2, ongoing * 3 // 4)


class Waiting:
    """Stands in for a stem of which nothing is done yet."""

    size_bytes = 44

    def is_ready(self) -> bool:
        return False

    def chunks(self, start_bytes: int = 0) -> Iterator[bytes]:
        yield b""

    def stop(self) -> None:
        pass


def ask(url: str, path: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection


def first_words(connection: socket.socket, seconds: float) -> str:
    """Return what comes within `seconds`, which may be nothing."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65536).decode(errors="replace")
    except TimeoutError:
        return ""


def until(said: Callable[[], str], start: str) -> str:
    """Ask again until the answer starts with `start`."""
    end = monotonic() + 30
    while not (answer := said()).startswith(start):
        assert monotonic() < end, f"nothing that starts with {start!r}: {answer!r}"
    return answer


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/events", "?wait=2", "/stems/drums?follow=true"])
async def test_a_client_has_its_share_of_those_that_wait_and_can_still_ask(
    server: Server, song: bytes, path: str
) -> None:
    job_id = await server.separate(song)
    app = server.app_with(
        max_ongoing_requests=ONGOING, follow=lambda job, stem, form: Waiting()
    )
    server.claim()
    with serving(app) as url, ExitStack() as held:

        def asked(seconds: float) -> str:
            connection = held.enter_context(ask(url, f"/job/{job_id}{path}"))
            return first_words(connection, seconds)

        said = until(lambda: asked(0.3), "HTTP/1.1 429 ")
        assert "retry-after: " in said.lower()
        # Half of half of them.
        assert f"{ONGOING // 4} requests that wait for a job" in said
        with ask(url, f"/job/{job_id}") as short:
            assert short.recv(65536).startswith(b"HTTP/1.1 200 ")
        # Those who have left make room.
        held.close()
        until(lambda: asked(5), "HTTP/1.1 200 ")
