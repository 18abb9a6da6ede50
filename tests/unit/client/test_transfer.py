"""A file appears only when its download is complete."""

from dataclasses import replace
from pathlib import Path

import pytest

from serve_app.client import Client, Refused, RemoteStem, ServerUnreachable, Ticket
from serve_app.errors import InvalidInput
from tests.unit.client.service import Answer, Service, Stem, json_answer, problem

CONTENT = bytes(range(256)) * 4_000


def offer(service: Service, client: Client, *answers: Answer | Stem) -> RemoteStem:
    """Set the responses for the drums; return the stem as the server lists it."""
    service.complete({"drums": Stem(CONTENT)})
    path = "/job/j1/stems/drums"
    service._answers["GET", path] = list(answers)
    return client.job(Ticket("j1", service.url)).stems[0]


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_stem_arrives_whole(service: Service, client: Client, tmp_path: Path) -> None:
    stem = offer(service, client, Stem(CONTENT))
    seen: list[float] = []
    client.download(stem, tmp_path / "drums.wav", seen.append)
    assert files(tmp_path) == {"drums.wav": CONTENT}
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_a_cut_download_goes_on_where_it_stopped(
    service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(CONTENT, cuts=[1_000, 500_000, 7]))
    client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}
    asked = service.asked("GET", "/job/j1/stems/drums")
    ranges = [request.headers.get("Range") for request in asked]
    assert ranges == [None, "bytes=1000-", "bytes=501000-", "bytes=501007-"]


def test_cuts_without_end_do_not_matter_while_bytes_come(
    service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(CONTENT, cuts=[9_000] * 30))
    client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}


def test_a_server_without_ranges_is_asked_for_all_again(
    service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(CONTENT, cuts=[1_000], takes_ranges=False))
    client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}


def test_two_files_are_never_mixed(
    service: Service, client: Client, tmp_path: Path
) -> None:
    """The file changes on the server between two attempts."""
    old = Stem(b"x" * len(CONTENT), cuts=[1_000])
    stem = offer(service, client, old, Stem(CONTENT))
    client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}


def test_a_range_that_is_no_longer_there_starts_over(
    service: Service, client: Client, tmp_path: Path
) -> None:
    cut, refusal = Stem(CONTENT, cuts=[1_000]), problem(416, "There is no such range.")
    stem = offer(service, client, cut, refusal, Stem(CONTENT))
    client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}


def test_a_range_that_begins_elsewhere_starts_over(
    service: Service, client: Client, tmp_path: Path
) -> None:
    cut, elsewhere = Stem(CONTENT, cuts=[1_000]), {"Content-Range": "bytes 7-8/9"}
    wrong = Answer(206, CONTENT[1_000:], elsewhere)
    stem = offer(service, client, cut, wrong, Stem(CONTENT))
    bare = replace(stem, size_bytes=None, sha256=None)
    client.download(bare, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}


def test_a_part_of_the_rest_goes_on_from_there(
    service: Service, client: Client, tmp_path: Path
) -> None:
    cut, part = Stem(CONTENT, cuts=[1_000]), CONTENT[1_000:3_000]
    content_range = {"Content-Range": f"bytes 1000-2999/{len(CONTENT)}"}
    stem = offer(service, client, cut, Answer(206, part, content_range), Stem(CONTENT))
    client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}
    asked = service.asked("GET", "/job/j1/stems/drums")
    assert asked[-1].headers.get("Range") == "bytes=3000-"


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT + b"?"])
def test_what_is_not_the_stem_does_not_appear(
    wrong: bytes, service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(wrong))
    with pytest.raises(ServerUnreachable, match="drums"):
        client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {}


def test_a_server_that_states_no_size_or_hash_is_believed(
    service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(CONTENT, cuts=[1_000]))
    bare = replace(stem, size_bytes=None, sha256=None)
    client.download(bare, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}


def test_an_older_file_stays_until_the_new_one_is_whole(
    service: Service, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "drums.wav").write_bytes(b"older")
    stem = offer(service, client, problem(404, "The job has expired."))
    with pytest.raises(Refused, match="expired"):
        client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": b"older"}


def test_a_download_that_is_ended_leaves_nothing(
    service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(CONTENT))

    def enough(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.download(stem, tmp_path / "drums.wav", enough)
    assert files(tmp_path) == {}


def test_a_directory_that_is_not_there_is_said(
    service: Service, client: Client, tmp_path: Path
) -> None:
    stem = offer(service, client, Stem(CONTENT))
    with pytest.raises(InvalidInput, match=r"written: .*\. Create its folder first"):
        client.download(stem, tmp_path / "none" / "drums.wav")


def test_absolute_addresses_are_followed_to_another_host(
    service: Service, client: Client, tmp_path: Path
) -> None:
    with Service() as store:
        store.on("GET", "/bucket/drums?signature=1", Stem(CONTENT))
        address = f"{store.url}/bucket/drums?signature=1"
        listed = {"drums": {"filename": "drums.wav", "download_url": address}}
        job = {"status": "completed", "stems": listed}
        service.on("GET", "/job/j1", json_answer(job))
        (stem,) = client.job(Ticket("j1", service.url)).stems
        client.download(stem, tmp_path / "drums.wav")
    assert files(tmp_path) == {"drums.wav": CONTENT}
