"""Events and playbacks go on where they were cut, wherever that was."""

import time
from collections.abc import Callable, Iterator
from threading import Thread

import pytest

from serve_app.client import (
    AppError,
    Cancelled,
    Client,
    JobFailed,
    Refused,
    RemoteJob,
    RetryPolicy,
    ServerUnreachable,
    Ticket,
    WaitTimedOut,
    streams,
)
from tests.unit.client.service import (
    Answer,
    Events,
    Request,
    Service,
    Stem,
    closed_port,
    json_answer,
    problem,
)

STATES = [
    {"status": "pending", "progress": 0},
    {"status": "processing", "progress": 50, "error": "line\u2028break, ü"},
    {"status": "completed", "progress": 100},
]
TOLD = ["pending", "processing", "completed"]
CONTENT = bytes(range(256)) * 4
EVENTS, STEM = "/job/j1/events", "/job/j1/stems/drums"


def told(jobs: Iterator[RemoteJob]) -> list[str]:
    return [job.status for job in jobs]


@pytest.fixture(autouse=True)
def _any_stream_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_SHORTEST_STREAM_SECONDS", 0.0)


def test_a_job_is_told_from_its_start_to_its_end(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("GET", EVENTS, Events(STATES))
    jobs = list(client.events("j1"))
    assert [job.progress for job in jobs] == [0.0, 0.5, 1.0]
    assert jobs[1].error == "line\u2028break, ü"
    assert [job.is_over for job in jobs] == [False, False, True]
    assert pauses == []
    assert "Last-Event-ID" not in service.asked("GET", EVENTS)[0].headers


@pytest.mark.parametrize("of_events", [True, False], ids=["events", "playback"])
def test_nothing_is_lost_or_repeated_wherever_a_stream_is_cut(
    of_events: bool, service: Service, client: Client, pauses: list[float]
) -> None:
    """Also within an event, within its id, and before the first byte."""
    if of_events:
        size = len(Events(STATES).answer(Request("GET", EVENTS, {}, b"")).body)
        cuts = range(size)
    else:
        cuts = range(0, len(CONTENT), 3)
    for cut in cuts:
        service.on("GET", f"/job/c{cut}/events", Events(STATES, cuts=[cut]))
        service.on("GET", f"/job/c{cut}/stems/drums", Stem(CONTENT, cuts=[cut]))
        if of_events:
            assert told(client.events(f"c{cut}")) == TOLD
        else:
            assert b"".join(client.follow(f"c{cut}", "drums")) == CONTENT
        # The first retry is immediate.
        assert sum(pauses) == 0.0
    assert len(pauses) == len(cuts)


def test_a_stream_is_continued_as_often_as_it_ends(
    service: Service, client: Client
) -> None:
    """Also more often than a request would be tried."""
    events = Events(STATES, cuts=[0] * 3, ends=[0, 0, 0, 1, 0, 0, 1, 0, 0, 0])
    stem = Stem(CONTENT, cuts=[100] * 10)
    service.on("GET", EVENTS, events)
    service.on("GET", STEM, stem)
    assert told(client.events(Ticket("j1", service.url))) == TOLD
    assert b"".join(client.follow(Ticket("j1", service.url), "drums")) == CONTENT
    asked = service.asked("GET", STEM)
    assert [request.headers["Range"] for request in asked] == [
        f"bytes={100 * number}-" for number in range(11)
    ]
    assert {request.headers.get("If-Range") for request in asked[1:]} == {
        f'"{stem.sha256}"'
    }


def test_the_delay_that_the_server_asks_for_is_kept(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("GET", EVENTS, Events(STATES, ends=[1, 1], retry_ms=250))
    assert told(client.events("j1")) == TOLD
    assert pauses == [0.25, 0.25]


def test_streams_that_end_at_once_are_opened_ever_more_slowly(
    service: Service,
    client: Client,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of a replica that is being stopped, until its proxies have noticed."""
    monkeypatch.setattr(streams, "_SHORTEST_STREAM_SECONDS", 60.0)
    service.on("GET", EVENTS, Events(STATES, ends=[0] * 5))
    assert told(client.events("j1")) == TOLD
    usual = [0.5, 1.0, 2.0, 4.0]
    assert pauses[0] == 0.0
    for pause, most in zip(pauses[1:], usual, strict=True):
        assert most / 2 <= pause <= most


def test_a_server_that_is_full_or_not_ready_is_waited_for(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("GET", EVENTS, problem(503, "It starts.", Retry_After="3"))
    service.on("GET", EVENTS, Events(STATES))
    service.on("GET", STEM, Stem(CONTENT, cuts=[10]), problem(503, "It starts."))
    service.on("GET", STEM, problem(429, "It is full.", Retry_After="2"))
    service.on("GET", STEM, Stem(CONTENT))
    assert told(client.events("j1")) == TOLD
    assert pauses == [3.0]
    assert b"".join(client.follow("j1", "drums")) == CONTENT
    assert max(pauses[1:]) == 2.0


def test_a_server_that_restarts_is_waited_for() -> None:
    first, started = Service(), []
    first.on("GET", EVENTS, Events(STATES, ends=[1]))
    policy = RetryPolicy(first_delay_seconds=0.05, longest_delay_seconds=0.2)

    def start_again() -> None:
        time.sleep(1.0)
        again = Service(int(first.url.rpartition(":")[2]))
        again.on("GET", EVENTS, Events(STATES))
        started.append(again)

    starting = Thread(target=start_again)
    failures: list[AppError] = []
    with Client(first.url, policy, on_retry=lambda err, _: failures.append(err)) as cl:
        jobs = cl.events("j1")
        assert next(jobs).status == "pending"
        first.close()
        starting.start()
        try:
            assert told(jobs) == TOLD[1:]
        finally:
            starting.join()
            started[0].close()
    assert failures
    assert all(isinstance(each, ServerUnreachable) for each in failures)
    assert started[0].asked("GET", EVENTS)[0].headers["Last-Event-ID"] == "0"


@pytest.mark.parametrize(
    "call",
    [lambda client: client.events("j1"), lambda client: client.follow("j1", "a")],
)
def test_a_wrong_address_is_reported_soon(
    call: Callable[[Client], Iterator[object]],
) -> None:
    pauses: list[float] = []
    with (
        Client(f"http://127.0.0.1:{closed_port()}", pause=pauses.append) as client,
        pytest.raises(ServerUnreachable),
    ):
        next(call(client))
    assert len(pauses) == 2


def test_a_server_that_stays_away_is_given_up(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("GET", EVENTS, Events(STATES, ends=[1]), problem(503, "It is away."))
    jobs = client.events("j1")
    assert next(jobs).status == "pending"
    with pytest.raises(Refused, match="away"):
        next(jobs)
    assert 299.0 < sum(pauses) <= 301.0


def test_events_end_at_the_deadline(service: Service) -> None:
    service.on("GET", EVENTS, Events(STATES[:2], ends=[2, 0, 0, 0, 0, 0]))
    service.on("GET", EVENTS, problem(503, "It is away."))
    began = time.monotonic()
    with Client(service.url) as client:
        jobs = client.events("j1", timeout_seconds=0.5)
        assert next(jobs).status == "pending"
        with pytest.raises(WaitTimedOut, match=r"after 0\.5 s"):
            list(jobs)
    assert time.monotonic() - began < 2.0


def test_a_playback_ends_at_the_deadline(service: Service) -> None:
    service.on("GET", STEM, Stem(CONTENT, cuts=[10] * 100_000))
    began = time.monotonic()
    with Client(service.url, RetryPolicy(tries=10**6)) as client:
        assert next(client.follow("j1", "drums", timeout_seconds=0.5)) == CONTENT[:10]
        service.on("GET", "/job/j2/stems/drums", problem(503, "It is away."))
        with pytest.raises(WaitTimedOut):
            list(client.follow("j2", "drums", timeout_seconds=0.5))
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(
    ("status", "error"), [("failed", JobFailed), ("cancelled", Cancelled)]
)
def test_a_job_without_stems_ends_its_playback_with_the_reason(
    status: str, error: type[AppError], service: Service, client: Client
) -> None:
    job = {"status": status, "error": "It is damaged."}
    service.on("GET", STEM, Stem(CONTENT, cuts=[100]))
    service.on("GET", STEM, problem(409, "The job has no stems."))
    service.on("GET", "/job/j1", json_answer(job))
    heard = []
    with pytest.raises(error):
        heard.extend(client.follow("j1", "drums"))
    assert b"".join(heard) == CONTENT[:100]


def test_a_failed_job_is_the_last_event(service: Service, client: Client) -> None:
    failed = {"status": "failed", "error": "It is damaged."}
    service.on("GET", EVENTS, Events([STATES[0], failed]))
    *_, last = client.events("j1")
    assert (last.status, last.error) == ("failed", "It is damaged.")


def without_range(request: Request) -> Answer:
    return Answer(200, CONTENT, {"ETag": '"1"'})


def another_version(request: Request) -> Answer:
    headers = {"ETag": '"2"', "Content-Range": f"bytes 100-1023/{len(CONTENT)}"}
    return Answer(206, CONTENT[100:], headers)


def another_start(request: Request) -> Answer:
    headers = {"Content-Range": f"bytes 99-1023/{len(CONTENT)}"}
    return Answer(206, CONTENT[99:], headers)


def no_range_at_all(request: Request) -> Answer:
    return Answer(206, CONTENT[100:])


@pytest.mark.parametrize(
    "wrong", [without_range, another_version, another_start, no_range_at_all]
)
def test_other_bytes_than_the_missing_ones_are_an_error(
    wrong: Callable[[Request], Answer], service: Service, client: Client
) -> None:
    first = Answer(200, CONTENT, {"ETag": '"1"'}, cut_after=100)
    service.on("GET", STEM, first, wrong)
    heard = []
    with pytest.raises(Refused, match=r"can't continue .* after 100 bytes"):
        heard.extend(client.follow("j1", "drums"))
    assert b"".join(heard) == CONTENT[:100]


def test_a_version_that_is_unknown_can_not_be_continued(
    service: Service, client: Client
) -> None:
    """As of servers that are older than this client."""
    rest = {"Content-Range": f"bytes 100-1023/{len(CONTENT)}"}
    service.on("GET", STEM, Answer(200, CONTENT, cut_after=100))
    service.on("GET", STEM, Answer(206, CONTENT[100:], rest))
    with pytest.raises(Refused, match="can't continue"):
        list(client.follow("j1", "drums"))


def test_a_deleted_job_is_not_there(service: Service, client: Client) -> None:
    for call in (client.events("j1"), client.follow("j1", "drums")):
        with pytest.raises(Refused) as caught:
            next(iter(call))
        assert caught.value.http_status == 404


@pytest.mark.parametrize(
    "answer",
    [
        json_answer({"status": "pending"}),
        Answer(200, b"data: [1]\n\n", {"Content-Type": "text/event-stream"}),
        Answer(200, b"data: {}\n\n", {"Content-Type": "text/event-stream"}),
        Answer(200, b"data: x\n\n", {"Content-Type": "text/event-stream"}),
    ],
)
def test_what_is_no_job_is_an_unexpected_response(
    answer: Answer, service: Service, client: Client
) -> None:
    service.on("GET", EVENTS, answer)
    with pytest.raises(Refused, match="unexpected response"):
        list(client.events("j1"))


def test_lines_may_end_as_windows_ends_them(service: Service, client: Client) -> None:
    body = b'retry: many\r\ndata: {"status":\r\ndata: "completed"}\r\n\r\n'
    service.on("GET", EVENTS, Answer(200, body, {"Content-Type": "text/event-stream"}))
    assert told(client.events("j1")) == ["completed"]
