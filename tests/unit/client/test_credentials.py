"""Credentials of a client are sent to its server only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.client import Client, InvalidInput, Ticket
from tests.unit.client.service import Answer, Service, Stem, json_answer

CONTENT = b"drums" * 1_000
HEADERS = {"Authorization": "Bearer secret", "X-Tenant": "me"}


@pytest.fixture
def store() -> Iterator[Service]:
    """Another host, which has the stems."""
    with Service() as store:
        store.on("GET", "/drums.wav", Stem(CONTENT))
        yield store


def job(address: str) -> Answer:
    listed = {"drums": {"filename": "drums.wav", "download_url": address}}
    return json_answer({"status": "completed", "stems": listed})


def fetch_drums(client: Client, service: Service, path: Path) -> None:
    (stem,) = client.job(Ticket("j1", service.url)).stems
    client.download(stem, path)
    assert path.read_bytes() == CONTENT


def test_every_request_to_the_server_has_the_headers(
    service: Service, tmp_path: Path
) -> None:
    (tmp_path / "song.mp3").write_bytes(b"music")
    service.complete({"drums": Stem(CONTENT)})
    with Client(service.url, headers=HEADERS) as client:
        ticket = client.separate(tmp_path / "song.mp3")
        fetch_drums(client, service, tmp_path / "drums.wav")
        client.cancel(ticket)
    assert len(service.requests) == 4
    for request in service.requests:
        assert request.headers["Authorization"] == "Bearer secret"
        assert request.headers["X-Tenant"] == "me"


def test_an_absolute_address_of_the_server_itself_has_them_too(
    service: Service, tmp_path: Path
) -> None:
    service.on("GET", "/job/j1", job(f"{service.url}/drums.wav"))
    service.on("GET", "/drums.wav", Stem(CONTENT))
    with Client(service.url, headers=HEADERS) as client:
        fetch_drums(client, service, tmp_path / "drums.wav")
    (request,) = service.asked("GET", "/drums.wav")
    assert request.headers["Authorization"] == "Bearer secret"


def test_another_host_does_not_get_them(
    service: Service, store: Service, tmp_path: Path
) -> None:
    service.on("GET", "/job/j1", job(f"{store.url}/drums.wav?signature=1"))
    with Client(service.url, headers=HEADERS) as client:
        fetch_drums(client, service, tmp_path / "drums.wav")
    (request,) = store.requests
    assert not set(HEADERS) & set(request.headers)


def test_a_redirect_to_another_host_does_not_take_them_along(
    service: Service, store: Service, tmp_path: Path
) -> None:
    there = {"Location": f"{store.url}/drums.wav"}
    service.on("GET", "/job/j1", job("/job/j1/stems/drums"))
    service.on("GET", "/job/j1/stems/drums", Answer(302, headers=there))
    with Client(service.url, headers=HEADERS) as client:
        fetch_drums(client, service, tmp_path / "drums.wav")
    (request,) = store.requests
    assert not set(HEADERS) & set(request.headers)


def test_a_server_that_sends_its_clients_elsewhere_does_not_send_them_along(
    service: Service, store: Service, tmp_path: Path
) -> None:
    (tmp_path / "song.mp3").write_bytes(b"music")
    taken = {"job_id": "j1", "hf_space_url": store.url}
    service.on("POST", "/separate", json_answer(taken))
    store.on("GET", "/job/j1", job("/drums.wav"))
    with Client(service.url, headers=HEADERS) as client:
        client.wait(client.separate(tmp_path / "song.mp3"))
    (request,) = store.requests
    assert not set(HEADERS) & set(request.headers)


@pytest.mark.parametrize("value", ["Bearer abcdef\n", " abcdef", "“abcdef”", "a\0"])
def test_a_header_that_can_t_be_sent_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(InvalidInput, match="The header Authorization") as caught:
        Client("http://localhost:9", headers={"Authorization": value})
    assert "abcdef" not in str(caught.value)


def test_a_user_in_the_address_is_one_of_them(
    service: Service, store: Service, tmp_path: Path
) -> None:
    there = {"Location": f"{store.url}/drums.wav"}
    # As returned by a server, which does not know the user.
    service.on("GET", "/job/j1", job(f"{service.url}/job/j1/stems/drums"))
    service.on("GET", "/job/j1/stems/drums", Answer(307, headers=there))
    address = service.url.replace("http://", "http://ann:p%40ss@")
    with Client(address) as client:
        fetch_drums(client, service, tmp_path / "drums.wav")
    for request in service.requests:
        # ann:p@ss
        assert request.headers["Authorization"] == "Basic YW5uOnBAc3M="
    (request,) = store.requests
    assert "Authorization" not in request.headers
