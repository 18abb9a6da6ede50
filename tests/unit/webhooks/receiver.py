"""A real HTTP server that receives webhooks, and behaves as badly as a test wants."""

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Self

Answer = Callable[[socket.socket, Event], None]


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def status(code: int, **headers: str) -> Answer:
    """Answer with that status."""
    lines = [f"HTTP/1.1 {code} X", "Content-Length: 0"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    def answer(connection: socket.socket, _: Event) -> None:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())

    return answer


def silence(_: socket.socket, closing: Event) -> None:
    """Never answer."""
    closing.wait()


def drops(connection: socket.socket, closing: Event) -> None:
    """Send a head without end, a byte now and then."""
    connection.sendall(b"HTTP/1.1 200 X\r\nX: ")
    with suppress(OSError):
        while not closing.wait(0.02):
            connection.sendall(b"x")


class Flood:
    """Answers with a gigabyte, or as much as is taken of it."""

    def __init__(self) -> None:
        self.sent_bytes = 0

    def __call__(self, connection: socket.socket, closing: Event) -> None:
        """Send it."""
        total, chunk = 1024**3, bytes(1024**2)
        head = f"HTTP/1.1 200 X\r\nContent-Length: {total}\r\n\r\n"
        connection.sendall(head.encode())
        with suppress(OSError):
            while self.sent_bytes < total and not closing.is_set():
                self.sent_bytes += connection.send(chunk)


class Receiver:
    """A server that gives each request the next of its answers, the last for ever."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.answers: list[Answer] = [status(204)]
        self.received: list[Received] = []
        self.at_once = self.most_at_once = 0
        self._closing = Event()
        self._socket = socket.create_server((host, port))
        self._socket.settimeout(0.05)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://{host}:{self.port}/hook"
        self._threads = [Thread(target=self._serve)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                connection, _ = self._socket.accept()
                connection.settimeout(5.0)
                thread = Thread(target=self._talk, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.received.append(_read(connection))
            more = len(self.answers) > 1
            answer = self.answers.pop(0) if more else self.answers[0]
            # Time for another one to come, if it is on its way.
            time.sleep(0.02)
            self.at_once -= 1
            answer(connection, self._closing)


def _read(connection: socket.socket) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return Received(first.split()[1], headers, body)
