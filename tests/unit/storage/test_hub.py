"""What is a Hub's own: its repository, its commits, its errors, its history."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.errors import StorageUnavailable
from serve_app.storage.hub import HubStorage
from serve_app.storage.hub_connection import HubRepository
from tests.hub import TOKEN, Dataset, Hub
from tests.ports import free_port

MEDIA = bytes(range(256)) * 4096  # larger than any chunk, and stored as a large file
KEY = "1234/ep5/4afa2780216896d6353754b17cddde5c.mp4"
NAME = "me/files"


@pytest.fixture
def store(hub: Hub) -> Iterator[HubStorage]:
    made = HubStorage(HubRepository(NAME, TOKEN), sleep=lambda _: None)
    yield made
    made.close()


@pytest.fixture
def media(tmp_path: Path) -> Path:
    path = tmp_path / "media.mp4"
    path.write_bytes(MEDIA)
    return path


def read(store: HubStorage, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(store.read(KEY, start, end))


def uploads(hub: Hub) -> int:
    return sum(
        method == "PUT" and path.startswith("/objects/") for method, path in hub.calls()
    )


def test_the_first_file_makes_a_public_dataset(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    assert list(store.list("")) == []
    assert hub.datasets == {}
    store.put(KEY, media)
    assert not hub.datasets[NAME].is_private
    assert hub.datasets[NAME].files[KEY] == MEDIA
    assert hub.request("/repos/create").json["type"] == "dataset"


def test_files_of_before_stay_in_a_dataset_that_is_there(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    hub.datasets[NAME] = Dataset({"old.mp4": b"old"})
    store.put(KEY, media)
    assert hub.datasets[NAME].files == {"old.mp4": b"old", KEY: MEDIA}


def test_an_empty_repository_has_no_files(store: HubStorage) -> None:
    store.delete(KEY)
    with pytest.raises(FileNotFoundError):
        store.stat(KEY)
    with pytest.raises(FileNotFoundError):
        store.read(KEY)


def test_the_direct_url_is_where_anybody_gets_it(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    url = f"{hub.url}/datasets/{NAME}/resolve/main/{KEY}"
    assert store.direct_url(KEY) == store.link(KEY, "inline", "video/mp4", 60) == url


def test_the_public_hub_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    url = f"https://huggingface.co/datasets/{NAME}/resolve/main/{KEY}"
    assert HubRepository(NAME, TOKEN).url(KEY) == url


def test_a_private_dataset_has_no_links(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    hub.datasets[NAME] = Dataset(is_private=True)
    store.put(KEY, media)
    assert store.link(KEY, "inline", "video/mp4", 60) is None
    assert read(store) == MEDIA


def test_the_token_is_in_no_text(store: HubStorage) -> None:
    assert TOKEN not in repr(HubRepository(NAME, TOKEN))


def test_a_commit_of_somebody_else_at_the_same_time_is_no_failure(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    hub.datasets[NAME] = Dataset()
    hub.refuse("/commit/", 412, "A commit has happened since", times=3)
    store.put(KEY, media)
    assert read(store) == MEDIA
    assert uploads(hub) == 1


def test_commits_that_never_get_through_end(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    hub.datasets[NAME] = Dataset()
    hub.refuse("/commit/", 412, "A commit has happened since")
    with pytest.raises(StorageUnavailable):
        store.put(KEY, media)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/preupload/", 401, "token is not valid"),
        ("/preupload/", 403, f"no access to the dataset {NAME}"),
        ("/preupload/", 429, "asks for time"),
        ("/commit/", 500, "status 500"),
        ("/commit/", 429, "asks for time"),
        ("/objects/batch", 429, "asks for time"),
        ("/objects/", 429, "asks for time"),
        ("/objects/", 403, "no access"),
    ],
)
def test_a_hub_that_takes_nothing_says_why(
    hub: Hub, store: HubStorage, media: Path, path: str, status: int, words: str
) -> None:
    hub.datasets[NAME] = Dataset()
    hub.refuse(path, status)
    with pytest.raises(StorageUnavailable, match=words):
        store.put(KEY, media)
    assert hub.datasets[NAME].files == {}


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "token"), (403, "no access"), (429, "fewer requests"), (503, "status 503")],
)
def test_a_hub_that_gives_nothing_says_why(
    hub: Hub, store: HubStorage, media: Path, status: int, words: str
) -> None:
    store.put(KEY, media)
    hub.refuse("/resolve/", status)
    with pytest.raises(StorageUnavailable, match=words):
        store.read(KEY)


def test_a_wrong_token_is_not_a_missing_file(hub: Hub, store: HubStorage) -> None:
    hub.datasets[NAME] = Dataset({KEY: b"old"})
    hub.tokens = {"hf_another"}
    with pytest.raises(StorageUnavailable, match="token is not valid"):
        store.stat(KEY)
    with pytest.raises(StorageUnavailable, match="token is not valid"):
        store.read(KEY)


def test_a_hub_that_is_away_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    store = HubStorage(HubRepository(NAME, TOKEN, url))
    with pytest.raises(StorageUnavailable, match="ConnectError"):
        store.stat(KEY)
    with pytest.raises(StorageUnavailable, match="ConnectError"):
        store.read(KEY)
    store.close()


def test_a_hub_that_asks_for_much_time_is_left_alone_at_once(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    hub.datasets[NAME] = Dataset()
    hub.refuse("/preupload/", 503, retry_after="3600")
    with pytest.raises(StorageUnavailable):
        store.put(KEY, media)
    assert len(hub.requests) == 1


def test_a_large_file_is_read_in_part_from_the_cdn(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    assert read(store, 7, 900_000) == MEDIA[7:900_000]
    cdn = hub.requests[-1]
    assert cdn.path.startswith("/objects/")
    assert cdn.headers["range"] == "bytes=7-899999"
    assert "authorization" not in cdn.headers


@pytest.mark.parametrize(("start", "end"), [(0, None), (7, None), (7, 900_000)])
def test_a_hub_that_ignores_ranges_is_understood(
    hub: Hub, store: HubStorage, media: Path, start: int, end: int | None
) -> None:
    hub.has_ranges = False
    store.put(KEY, media)
    assert read(store, start, end) == MEDIA[start:end]


def test_a_read_that_is_interrupted_goes_on(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    hub.cut_bodies_after(400_000, times=3)
    assert read(store, 7) == MEDIA[7:]


def test_a_read_that_is_always_interrupted_fails(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    hub.cut_bodies_after(0, times=100)
    with pytest.raises(StorageUnavailable):
        read(store)


def test_a_read_does_not_go_on_with_another_version(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    hub.cut_bodies_after(400_000, times=1)
    chunks = store.read(KEY)
    next(chunks)
    media.write_bytes(MEDIA[::-1])
    store.put(KEY, media)
    with pytest.raises(StorageUnavailable, match="replaced"):
        list(chunks)


def test_what_is_deleted_is_not_in_the_history(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    media.write_bytes(MEDIA[::-1])
    store.put(KEY, media)
    assert len(hub.datasets[NAME].large) == 2
    store.delete(KEY)
    assert KEY not in hub.datasets[NAME].files
    assert hub.datasets[NAME].large == set()


def test_content_that_another_file_has_too_is_kept(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    store.put("other/file.mp4", media)
    store.delete(KEY)
    assert b"".join(store.read("other/file.mp4")) == MEDIA
    with pytest.raises(FileNotFoundError):
        store.stat(KEY)


def test_a_deletion_that_fails_can_be_tried_again(
    hub: Hub, store: HubStorage, media: Path
) -> None:
    store.put(KEY, media)
    hub.refuse("/lfs-files/batch", 500, times=1)
    with pytest.raises(StorageUnavailable):
        store.delete(KEY)
    store.delete(KEY)
    assert hub.datasets[NAME].large == set()


def test_long_lists_come_page_by_page(
    hub: Hub, store: HubStorage, tmp_path: Path
) -> None:
    hub.page_size = 2
    for number in range(5):
        path = tmp_path / "text"
        path.write_text(str(number))
        store.put(f"media/{number}.txt", path)
    found = [file.key for file in store.list("media")]
    assert found == [f"media/{number}.txt" for number in range(5)]
