import socket
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from serve_app.errors import WeightsUnavailable
from serve_app.separation import download
from tests.unit.separation.conftest import FileServer

BODY = bytes(range(256)) * 4096


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "weights.part"


def fetch(server: FileServer, partial: Path) -> None:
    download.fetch(f"{server.url}/weights", partial, timeout_seconds=5)


def cut_short(server: FileServer, partial: Path) -> int:
    """Leave a partial file, as if the server had disconnected; return its size."""
    server.cuts = 1
    server.asked_ranges.clear()

    def stop_serving(done: int, total: int | None) -> None:
        server.status = 503

    with pytest.raises(WeightsUnavailable):
        download.fetch(f"{server.url}/weights", partial, 5, stop_serving)
    server.status = None
    server.asked_ranges.clear()
    return partial.stat().st_size


def test_a_file_arrives_whole_with_progress(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files["weights"] = BODY
    seen: list[tuple[int, int | None]] = []
    download.fetch(
        f"{file_server.url}/weights",
        partial,
        5,
        lambda done, total: seen.append((done, total)),
    )
    assert partial.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_cut_connection_is_resumed_at_once(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files["weights"] = BODY
    file_server.cuts = 2
    fetch(file_server, partial)
    half, quarter = len(BODY) // 2, len(BODY) // 4
    assert partial.read_bytes() == BODY
    assert file_server.asked_ranges == [
        None,
        f"bytes={half}-",
        f"bytes={half + quarter}-",
    ]


def test_a_later_call_resumes_an_earlier_one(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files["weights"] = BODY
    size = cut_short(file_server, partial)
    assert 0 < size < len(BODY)
    fetch(file_server, partial)
    assert partial.read_bytes() == BODY
    assert file_server.asked_ranges == [f"bytes={size}-"]


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_one(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files["weights"] = BODY
    cut_short(file_server, partial)
    file_server.files["weights"], file_server.tag = BODY[::-1], '"v2"'
    fetch(file_server, partial)
    assert partial.read_bytes() == BODY[::-1]


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
def test_without_a_strong_tag_it_starts_anew(
    file_server: FileServer, partial: Path, tag: str | None
) -> None:
    file_server.files["weights"], file_server.tag = BODY, tag
    cut_short(file_server, partial)
    fetch(file_server, partial)
    assert partial.read_bytes() == BODY
    assert file_server.asked_ranges == [None]


def test_a_partial_file_of_another_address_is_not_resumed(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files |= {"weights": BODY, "others": BODY[::-1]}
    cut_short(file_server, partial)
    download.fetch(f"{file_server.url}/others", partial, 5)
    assert partial.read_bytes() == BODY[::-1]


def test_a_partial_file_that_is_too_long_starts_anew(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files["weights"] = BODY
    cut_short(file_server, partial)
    partial.write_bytes(b"x" * (len(BODY) + 1))
    fetch(file_server, partial)
    assert partial.read_bytes() == BODY


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_answer_other_than_success_says_which(
    file_server: FileServer, partial: Path, status: int
) -> None:
    file_server.status = status
    with pytest.raises(WeightsUnavailable, match=f"returned {status}"):
        fetch(file_server, partial)


def test_a_silent_server_is_given_up(file_server: FileServer, partial: Path) -> None:
    file_server.silent = Event()
    started = monotonic()
    with pytest.raises(WeightsUnavailable, match="timed out"):
        download.fetch(f"{file_server.url}/weights", partial, 0.2)
    assert monotonic() - started < 3


def test_a_host_that_does_not_answer_is_given_up(
    partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout covers name resolution and the handshake."""
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        # Never accepted, so that the TLS handshake does not finish.
        address = f"https://127.0.0.1:{listener.getsockname()[1]}/weights"
        started = monotonic()
        with pytest.raises(WeightsUnavailable, match="no connection within"):
            download.fetch(address, partial, timeout_seconds=5)
        assert monotonic() - started < 3


def test_a_refused_connection_is_reported(partial: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = r": \[Errno \d+\] Connection refused\. .*STEMSERVE_WEIGHTS_MIRROR .*weights,"
    with pytest.raises(WeightsUnavailable, match=said):
        download.fetch(f"http://127.0.0.1:{port}/weights", partial, 5)


def test_a_server_that_sends_another_range_is_refused(
    file_server: FileServer, partial: Path
) -> None:
    file_server.files["weights"] = BODY
    size = cut_short(file_server, partial)
    file_server.shift = 1
    with pytest.raises(WeightsUnavailable, match="Use another mirror"):
        fetch(file_server, partial)
    assert partial.read_bytes() == BODY[:size]


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/x", "weights"])
def test_only_http_addresses_are_fetched(partial: Path, address: str) -> None:
    with pytest.raises(WeightsUnavailable, match="must start with https"):
        download.fetch(address, partial, 5)
