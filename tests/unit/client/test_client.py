"""The client and a real server that is slow, cut off, full, or wrong."""

import pickle
from pathlib import Path

import pytest

from serve_app.client import (
    Client,
    JobFailed,
    Refused,
    RemoteJob,
    RetryPolicy,
    ServerUnreachable,
    Ticket,
    WaitTimedOut,
)
from serve_app.errors import Cancelled, InvalidInput
from tests.unit.client.service import (
    Answer,
    Service,
    closed_port,
    json_answer,
    problem,
)

TAKEN = json_answer({"success": True, "job_id": "j1", "status": "pending"})
DETAIL = "The queue is full. Try again in 7 s."


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / 'so"ng ñ.mp3'
    path.write_bytes(bytes(range(256)) * 1_000)
    return path


def test_song_is_sent_whole_with_its_options(
    service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", TAKEN)
    ticket = client.separate(song, {"model": "demo", "stems": "vocals"})
    (request,) = service.requests
    assert ticket == Ticket("j1", service.url)
    assert song.read_bytes() in request.body
    assert b'name="model"\r\n\r\ndemo\r\n' in request.body
    assert 'filename="so%22ng ñ.mp3"'.encode() in request.body
    assert int(request.headers["Content-Length"]) == len(request.body)


def test_upload_tells_how_far_it_is(
    service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", TAKEN)
    seen: list[float] = []
    client.separate(song, on_progress=seen.append)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again_with_the_whole_song(
    status: int, service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", problem(status, DETAIL), TAKEN)
    client.separate(song)
    first, second = service.requests
    assert song.read_bytes() in first.body
    assert song.read_bytes() in second.body


def test_retry_after_is_obeyed(
    service: Service, client: Client, pauses: list[float], song: Path
) -> None:
    service.on("POST", "/separate", problem(429, DETAIL, Retry_After="7"), TAKEN)
    client.separate(song)
    assert pauses == [7.0]


@pytest.mark.parametrize("status", [400, 404, 408, 413, 422])
def test_what_the_server_refuses_is_not_tried_again(
    status: int, service: Service, client: Client, pauses: list[float], song: Path
) -> None:
    service.on("POST", "/separate", problem(status, "Send at most 50 MB."), TAKEN)
    with pytest.raises(Refused) as caught:
        client.separate(song)
    assert caught.value.detail == "Send at most 50 MB."
    assert caught.value.http_status == status
    assert len(service.requests) == 1
    assert pauses == []


def test_server_that_stays_full_is_quoted(
    service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", problem(429, DETAIL))
    with pytest.raises(Refused, match="queue is full"):
        client.separate(song)
    assert len(service.requests) == 4


def test_cut_answers_are_asked_for_again(
    service: Service, client: Client, song: Path
) -> None:
    cut = Answer(200, TAKEN.body, cut_after=5)
    service.on("POST", "/separate", cut, TAKEN)
    assert client.separate(song).job_id == "j1"


def test_no_server_is_said_with_its_address(pauses: list[float], song: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    with (
        Client(url, RetryPolicy(tries=3), pauses.append) as client,
        pytest.raises(ServerUnreachable, match=url),
    ):
        client.separate(song)
    assert len(pauses) == 2


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense", "http://host:port"])
def test_an_address_that_is_none_is_said_at_once(
    url: str, pauses: list[float], song: Path
) -> None:
    with Client(url, pause=pauses.append) as client, pytest.raises(InvalidInput):
        client.separate(song)
    assert pauses == []


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"job_id": 5}', b'{"job_id": "../x"}', b'{"success": true}'],
)
def test_answers_of_something_else_are_refused(
    body: bytes, service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", Answer(200, body))
    with pytest.raises(Refused, match="address of a stemserve server"):
        client.separate(song)


def test_a_redirect_names_the_address_to_use(
    service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", Answer(308, headers={"Location": "https://x.org"}))
    with pytest.raises(Refused, match=r"https://x\.org"):
        client.separate(song)


def test_a_song_that_is_not_there_is_said(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        client.separate(tmp_path / "none.mp3")


def test_a_directory_is_no_song(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="directory"):
        client.separate(tmp_path)


def test_the_job_is_polled_where_the_server_says(
    service: Service, client: Client, song: Path
) -> None:
    with Service() as elsewhere:
        taken = json_answer({"job_id": "j1", "hf_space_url": elsewhere.url})
        service.on("POST", "/separate", taken)
        elsewhere.on("GET", "/job/j1", json_answer({"status": "processing"}))
        assert client.job(client.separate(song)).status == "processing"


def test_wait_polls_every_two_seconds_until_the_job_is_completed(
    service: Service, client: Client, pauses: list[float]
) -> None:
    states = [("pending", 0), ("processing", 40), ("processing", 80)]
    answers = [json_answer({"status": s, "progress": p}) for s, p in states]
    service.on("GET", "/job/j1", *answers)
    service.complete({})
    seen: list[RemoteJob] = []
    job = client.wait(Ticket("j1", service.url), seen.append)
    assert job.status == "completed"
    assert [one.progress for one in seen] == [0.0, 0.4, 0.8, 1.0]
    # This server does not support long polls, so the client waits.
    assert len(pauses) == 3
    assert all(1.0 < pause <= 2.0 for pause in pauses)


def test_the_server_is_asked_to_answer_when_the_job_is_over(
    service: Service, client: Client
) -> None:
    service.complete({})
    client.wait(Ticket("j1", service.url))
    assert service.requests[-1].path == "/job/j1?wait=2"


def test_wait_survives_errors_between_polls(service: Service, client: Client) -> None:
    service.on("GET", "/job/j1", problem(503, "restarting"), Answer(cut_after=1))
    service.complete({})
    assert client.wait(Ticket("j1", service.url)).status == "completed"


@pytest.mark.parametrize(
    ("job", "error", "words"),
    [
        ({"status": "failed", "error": "It is damaged."}, JobFailed, "It is damaged"),
        ({"status": "failed"}, JobFailed, "no reason"),
        ({"status": "cancelled"}, Cancelled, "cancelled"),
    ],
)
def test_wait_tells_why_there_are_no_stems(
    job: dict[str, str],
    error: type[Exception],
    words: str,
    service: Service,
    client: Client,
) -> None:
    service.on("GET", "/job/j1", json_answer(job))
    with pytest.raises(error, match=words):
        client.wait(Ticket("j1", service.url))


def test_a_job_that_is_gone_is_final(
    service: Service, client: Client, pauses: list[float]
) -> None:
    with pytest.raises(Refused) as caught:
        client.wait(Ticket("j1", service.url))
    assert caught.value.http_status == 404
    assert pauses == []


def test_waiting_ends_when_the_pause_raises(service: Service) -> None:
    service.on("GET", "/job/j1", json_answer({"status": "processing"}))

    def pause(seconds: float) -> None:
        raise Cancelled("enough")

    with Client(service.url, pause=pause) as client, pytest.raises(Cancelled):
        client.wait(Ticket("j1", service.url))


def test_cancel_asks_once_and_never_fails(
    service: Service, client: Client, pauses: list[float]
) -> None:
    service.on("DELETE", "/job/j1", problem(503, "restarting"))
    client.cancel(Ticket("j1", service.url))
    assert len(service.asked("DELETE", "/job/j1")) == 1
    assert pauses == []


def test_analysis_is_given_as_the_server_gave_it(
    service: Service, client: Client, song: Path
) -> None:
    found = {"bpm": 124.0, "key": "C# minor", "new_field": 1}
    service.on("POST", "/analyze", json_answer(found))
    assert client.analyze(song) == found


def test_wait_ends_after_the_time_that_is_allowed(
    service: Service, client: Client, pauses: list[float]
) -> None:
    running = {"status": "processing", "progress": 40}
    service.on("GET", "/job/j1", json_answer(running))
    with pytest.raises(WaitTimedOut, match=r"processing \(40%\) after 0 s"):
        client.wait(Ticket("j1", service.url), timeout_seconds=0)
    assert len(service.requests) == 1
    assert pauses == []


def test_a_refusal_has_the_servers_word_for_it_and_survives_pickle(
    service: Service, client: Client, song: Path
) -> None:
    body = {"detail": "Send at most 2 h.", "code": "audio_too_long"}
    service.on("POST", "/separate", json_answer(body, 413))
    with pytest.raises(Refused) as caught:
        client.separate(str(song))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    for error in (caught.value, again):
        assert (error.http_status, error.server_code) == (413, "audio_too_long")
        assert error.detail == "Send at most 2 h."


@pytest.mark.parametrize("body", [{}, {"key": "A minor"}, {"bpm": 90, "key": ""}])
def test_what_is_no_analysis_is_refused(
    body: dict[str, object], service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/analyze", json_answer(body))
    with pytest.raises(Refused, match="no tempo and key"):
        client.analyze(song)


@pytest.mark.parametrize("status", [200, 202])
def test_servers_that_accept_and_older_ones_are_understood(
    status: int, service: Service, client: Client, song: Path
) -> None:
    service.on("POST", "/separate", json_answer({"job_id": "j1"}, status))
    assert client.separate(song) == Ticket("j1", service.url)
