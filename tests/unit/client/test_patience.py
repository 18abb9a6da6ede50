"""A restarting server is retried for long, one that never responded is not."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from serve_app.client import (
    AppError,
    Client,
    Refused,
    RemoteStem,
    RetryPolicy,
    ServerUnreachable,
    Ticket,
)
from tests.unit.client.service import (
    Answer,
    Service,
    Stem,
    closed_port,
    json_answer,
    problem,
)

TAKEN = json_answer({"success": True, "job_id": "j1"})
CONTENT = bytes(range(256)) * 1_000


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"music" * 1_000)
    return path


def upload(client: Client, song: Path, ticket: Ticket) -> object:
    return client.separate(song)


def poll(client: Client, song: Path, ticket: Ticket) -> object:
    return client.wait(ticket).status


def analyse(client: Client, song: Path, ticket: Ticket) -> object:
    return client.analyze(song)


def download(client: Client, song: Path, ticket: Ticket) -> object:
    stem = RemoteStem("drums", ".wav", f"{ticket.base_url}/job/j1/stems/drums")
    return client.download(stem, song.with_name("drums.wav")).read_bytes()


Call = Callable[[Client, Path, Ticket], object]
CALLS = [upload, poll, analyse, download]


def answer_all(service: Service) -> None:
    service.complete({"drums": Stem(CONTENT)})
    service.on("POST", "/analyze", json_answer({"bpm": 90, "key": "A minor"}))
    service.on("GET", "/ping", json_answer({}))


@contextmanager
def restarting(away_seconds: float) -> Iterator[tuple[Service, Callable[[], None]]]:
    """Yield a service and a function that restarts it on the same port."""
    first = Service()
    answer_all(first)
    started: list[Service] = []

    def start_again() -> None:
        time.sleep(away_seconds)
        again = Service(int(first.url.rpartition(":")[2]))
        answer_all(again)
        started.append(again)

    starting = Thread(target=start_again)

    def restart() -> None:
        first.close()
        starting.start()

    try:
        yield first, restart
    finally:
        starting.join()
        for service in started:
            service.close()


@pytest.mark.parametrize("call", CALLS)
def test_connections_refused_during_a_restart_are_waited_out(
    call: Call, song: Path
) -> None:
    policy = RetryPolicy(tries=2, first_delay_seconds=0.05, longest_delay_seconds=0.1)
    with restarting(1.0) as (service, restart), Client(service.url, policy) as client:
        ticket = Ticket("j1", service.url)
        client.ping()
        restart()
        assert call(client, song, ticket)


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("call", CALLS)
def test_a_gateway_that_has_no_server_yet_is_waited_for(
    call: Call,
    status: int,
    service: Service,
    client: Client,
    song: Path,
    pauses: list[float],
) -> None:
    path = {upload: "/separate", poll: "/job/j1", analyse: "/analyze"}.get(
        call, "/job/j1/stems/drums"
    )
    method = "POST" if call in (upload, analyse) else "GET"
    # More responses than `tries`.
    service.on(method, path, *[problem(status, "It restarts.")] * 7)
    answer_all(service)
    assert call(client, song, Ticket("j1", service.url))
    assert len(pauses) == 7


@pytest.mark.parametrize("cut", [Answer(cut_after=0), Answer(cut_after=1)])
def test_a_connection_that_a_stopping_server_cuts_is_waited_for(
    cut: Answer, service: Service, client: Client
) -> None:
    service.on("GET", "/job/j1", *[cut] * 7)
    service.complete({})
    assert client.wait(Ticket("j1", service.url)).status == "completed"


def test_patience_ends_after_a_minute(song: Path) -> None:
    pauses: list[float] = []
    with Service() as service, Client(service.url, pause=pauses.append) as client:
        answer_all(service)
        client.ping()
        service.close()
        with pytest.raises(ServerUnreachable, match=service.url):
            client.separate(song)
        assert 59.0 < sum(pauses) <= 60.0
        assert max(pauses) == 5.0
        # The next call makes only `first_contact_tries` attempts.
        pauses.clear()
        with pytest.raises(ServerUnreachable):
            client.separate(song)
        assert sum(pauses) < 3.0


def test_patience_for_a_gateway_ends_too(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("GET", "/ping", json_answer({}), problem(503, "It restarts."))
    client.ping()
    with pytest.raises(Refused, match="restarts") as caught:
        client.ping()
    assert caught.value.http_status == 503
    assert 59.0 < sum(pauses) <= 60.0


@pytest.mark.parametrize("call", [poll, download])
def test_a_job_that_was_accepted_is_waited_for_longer(
    call: Call, service: Service, client: Client, song: Path, pauses: list[float]
) -> None:
    service.on("GET", "/job/j1", problem(503, "It restarts."))
    service.on("GET", "/job/j1/stems/drums", problem(503, "It restarts."))
    with pytest.raises(Refused, match="restarts"):
        call(client, song, Ticket("j1", service.url))
    assert 299.0 < sum(pauses) <= 300.0


def test_who_is_not_answered_about_a_job_is_told_that_it_goes_on() -> None:
    with Service() as service, Client(service.url, pause=lambda _: None) as client:
        answer_all(service)
        client.ping()
        service.close()
        with pytest.raises(ServerUnreachable, match=r"accepted.*job j1.*/job/j1"):
            client.wait(Ticket("j1", service.url))


def test_what_the_server_itself_fails_at_is_not_waited_for_so_long(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("GET", "/job/j1", problem(500, "The server failed."))
    with pytest.raises(Refused, match="failed"):
        client.wait(Ticket("j1", service.url))
    assert sum(pauses) < 5.0


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_not_there_is_said_soon(call: Call, song: Path) -> None:
    pauses: list[float] = []
    url = f"http://127.0.0.1:{closed_port()}"
    with (
        Client(url, pause=pauses.append) as client,
        pytest.raises(ServerUnreachable, match=url),
    ):
        call(client, song, Ticket("j1", url))
    assert sum(pauses) < 3.0


def test_a_host_that_has_no_address_is_said_soon() -> None:
    pauses: list[float] = []
    with (
        Client("http://nowhere.invalid", pause=pauses.append) as client,
        pytest.raises(ServerUnreachable, match=r"nowhere\.invalid"),
    ):
        client.ping()
    assert sum(pauses) < 3.0


def test_each_wait_is_told_with_its_reason(service: Service) -> None:
    told: list[tuple[AppError, float]] = []
    service.on("GET", "/ping", problem(503, "It restarts."), json_answer({}))
    with Client(
        service.url,
        pause=lambda _: None,
        on_retry=lambda error, seconds: told.append((error, seconds)),
    ) as client:
        client.ping()
    ((error, seconds),) = told
    assert (error.detail, seconds) == ("It restarts.", 0.5)


def test_one_song_is_sent_under_one_name_however_often(
    service: Service, client: Client, song: Path
) -> None:
    lost = Answer(200, TAKEN.body, cut_after=3)
    service.on("POST", "/separate", lost, problem(503, "It restarts."), TAKEN)
    client.separate(song)
    client.separate(song)
    keys = [request.headers["Idempotency-Key"] for request in service.requests]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]


def test_a_port_that_is_taken_by_something_else_is_no_server(song: Path) -> None:
    """A server that accepts connections and does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def babble() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()

        talker = Thread(target=babble)
        talker.start()
        with (
            Client(f"http://127.0.0.1:{port}", pause=lambda _: None) as client,
            pytest.raises(ServerUnreachable),
        ):
            client.ping()
        talker.join()
