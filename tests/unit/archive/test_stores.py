"""Media is on several stores, and one that is away is in nobody's way."""

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve_app.archive.identity import Identity, object_key, object_key_of
from serve_app.archive.stores import (
    Content,
    MediaStores,
    Store,
    StoreFacts,
    configured,
)
from serve_app.errors import StorageFull, StorageUnavailable
from serve_app.settings import Settings
from serve_app.storage import keys
from serve_app.storage.local import LocalStorage
from tests.flaky import Flaky
from tests.hub import TOKEN, Hub
from tests.s3 import S3Server

MEDIA = bytes(range(256)) * 4096
CONTENT = Content(len(MEDIA), hashlib.sha256(MEDIA).hexdigest())
KEY = "1234/ep5/4afa2780216896d6353754b17cddde5c.mp4"
NAMES = ("one", "two", "three")


@pytest.fixture
def disks(tmp_path: Path) -> dict[str, Flaky]:
    return {name: Flaky(tmp_path / name) for name in NAMES}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", archive_reserve_bytes=0)


@pytest.fixture
def stores(disks: dict[str, Flaky], settings: Settings) -> MediaStores:
    return MediaStores(
        settings,
        lambda _: [
            Store(StoreFacts(name, number, name), disk)
            for number, (name, disk) in enumerate(disks.items(), 1)
        ],
    )


@pytest.fixture
def media(tmp_path: Path) -> Path:
    path = tmp_path / "media.mp4"
    path.write_bytes(MEDIA)
    return path


def holders(disks: dict[str, Flaky]) -> set[str]:
    return {name for name, disk in disks.items() if any(LocalStorage.list(disk, ""))}


def read(stores: MediaStores, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(stores.read(KEY, start, end))


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        object_key(Identity(1, 2, "provider", None), "salt"),
        object_key_of("any key ä/..", "salt", "m4a"),
    ],
)
def test_the_archives_names_are_keys(key: str) -> None:
    assert keys.checked(key) == key


def test_the_first_store_of_the_order_gets_it_under_its_exact_name(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    name = stores.put_first(KEY, media)
    assert holders(disks) == {name}
    assert [file.key for file in disks[name].list("")] == [KEY]
    assert stores.put_first(KEY, media) == name


def test_objects_are_spread_over_the_stores(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    names = {stores.put_first(f"1/ep{number}/a.mp4", media) for number in range(20)}
    assert names == set(NAMES)


def test_a_store_that_is_away_is_passed_over(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    first = stores.put_first(KEY, media)
    stores.delete_in(first, KEY)
    disks[first].is_down = True
    assert stores.put_first(KEY, media) != first
    assert read(stores) == MEDIA


def test_all_stores_away_are_an_error(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    for disk in disks.values():
        disk.is_down = True
    with pytest.raises(StorageUnavailable):
        stores.put_first(KEY, media)


def test_a_copy_is_the_same_file_and_leaves_nothing_behind(
    stores: MediaStores, disks: dict[str, Flaky], media: Path, settings: Settings
) -> None:
    first = stores.put_first(KEY, media)
    for name in NAMES:
        stores.copy_to(name, KEY, CONTENT)
    assert holders(disks) == set(NAMES)
    assert all(b"".join(disk.read(KEY)) == MEDIA for disk in disks.values())
    assert disks[first].puts == [KEY]
    assert list(settings.working_dir.iterdir()) == []


def test_a_copy_of_another_version_is_replaced_and_is_no_source(
    stores: MediaStores, disks: dict[str, Flaky], media: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"old")
    for name in NAMES[:2]:
        stores.put(name, KEY, old)
    stores.put("three", KEY, media)
    for name in NAMES:
        stores.copy_to(name, KEY, CONTENT)
    assert all(b"".join(disk.read(KEY)) == MEDIA for disk in disks.values())


def test_a_damaged_copy_is_no_source(
    stores: MediaStores, disks: dict[str, Flaky], media: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(MEDIA[::-1])
    stores.put("one", KEY, damaged)
    with pytest.raises(StorageUnavailable, match="damaged"):
        stores.copy_to("two", KEY, CONTENT)
    stores.put("three", KEY, media)
    stores.copy_to("two", KEY, CONTENT)
    assert b"".join(disks["two"].read(KEY)) == MEDIA


def test_what_no_store_has_is_not_found(stores: MediaStores) -> None:
    with pytest.raises(FileNotFoundError):
        stores.copy_to("one", KEY, CONTENT)
    with pytest.raises(FileNotFoundError):
        stores.stat(KEY)
    with pytest.raises(FileNotFoundError):
        stores.read(KEY)


def test_what_may_be_in_a_store_that_is_away_is_not_lost(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    stores.put("one", KEY, media)
    disks["one"].is_down = True
    with pytest.raises(StorageUnavailable):
        stores.copy_to("two", KEY, CONTENT)
    with pytest.raises(StorageUnavailable):
        stores.stat(KEY)


def test_a_copy_needs_room_for_it_and_the_reserve(
    disks: dict[str, Flaky], settings: Settings, media: Path
) -> None:
    free_bytes = shutil.disk_usage(settings.data_dir.parent).free
    full = settings.model_copy(update={"archive_reserve_bytes": free_bytes})
    stores = MediaStores(
        full,
        lambda _: [Store(StoreFacts(name, 1, name), disks[name]) for name in NAMES],
    )
    stores.put("one", KEY, media)
    with pytest.raises(StorageFull, match="MiB free"):
        stores.copy_to("two", KEY)
    assert holders(disks) == {"one"}


def test_a_read_goes_on_from_another_copy(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    first = stores.put_first(KEY, media)
    for name in NAMES:
        stores.copy_to(name, KEY)
    disks[first].breaks_after = 2
    assert read(stores, 7, 900_000) == MEDIA[7:900_000]
    disks[first].is_down = True
    assert read(stores) == MEDIA


def test_a_copy_of_another_size_is_none(stores: MediaStores, media: Path) -> None:
    stores.put("one", KEY, media)
    assert stores.has("one", KEY)
    assert stores.has("one", KEY, len(MEDIA))
    assert not stores.has("one", KEY, len(MEDIA) + 1)
    assert not stores.has("two", KEY)


def test_a_deletion_is_that_of_one_store(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    for name in NAMES:
        stores.put(name, KEY, media)
    disks["two"].is_down = True
    stores.delete_in("one", KEY)
    stores.delete_in("one", KEY)
    with pytest.raises(StorageUnavailable):
        stores.delete_in("two", KEY)
    assert holders(disks) == set(NAMES) - {"one"}
    disks["two"].is_down = False
    stores.delete_in("two", KEY)
    assert holders(disks) == set(NAMES) - {"one", "two"}


def test_what_killed_processes_left_is_deleted_and_what_is_under_way_is_not(
    stores: MediaStores, disks: dict[str, Flaky], media: Path
) -> None:
    stores.put("one", KEY, media)
    for name in ("one", "three"):
        LocalStorage.put(disks[name], "partial/0123abcd", media)
    disks["two"].is_down = True
    now = datetime.now(UTC)
    stores.sweep(now - timedelta(hours=1))
    assert holders(disks) == {"one", "three"}
    stores.sweep(now + timedelta(hours=1))
    assert holders(disks) == {"one"}
    assert stores.has("one", KEY)


def test_without_settings_there_is_one_directory(tmp_path: Path) -> None:
    stores = MediaStores(Settings(data_dir=tmp_path))
    place = str(tmp_path / "archive")
    assert stores.names == (place,)
    assert stores.facts(place) == StoreFacts(place, 1, place)
    assert stores.direct_url(place, KEY) is None
    assert stores.link(KEY, "video/mp4", 60) is None
    assert stores.hosts() == ()


def test_stores_have_the_number_of_their_place(tmp_path: Path, s3: S3Server) -> None:
    bucket = f"s3://bucket/folder?endpoint_url={s3.url}&region=us-east-1"
    settings = Settings(archive_stores=(str(tmp_path / "one"), bucket))
    stores = MediaStores(settings)
    assert stores.facts("s3://bucket/folder") == StoreFacts(
        "s3://bucket/folder", 2, "s3://bucket/folder"
    )
    with pytest.raises(KeyError):
        stores.facts("s3://gone")


def test_a_bucket_gives_signed_links_to_what_it_has(
    tmp_path: Path, s3: S3Server, media: Path
) -> None:
    with s3.new_bucket() as bucket:
        place = f"s3://{bucket.name}?endpoint_url={s3.url}&region=us-east-1"
        stores = MediaStores(Settings(archive_stores=(str(tmp_path / "one"), place)))
        assert stores.link(KEY, "video/mp4", 60) is None
        stores.put(f"s3://{bucket.name}", KEY, media)
        url = stores.link(KEY, "video/mp4", 60)
    assert url is not None
    assert "video%2Fmp4" in url
    assert "Signature" in url


@pytest.fixture
def hub_stores(hub: Hub, tmp_path: Path) -> Iterator[MediaStores]:
    settings = Settings(
        data_dir=tmp_path,
        archive_hub_user_2="me",
        archive_hub_token_2=TOKEN,
        archive_hub_user_5="you",
        archive_hub_token_5=TOKEN,
    )
    opened = list(configured(settings))
    yield MediaStores(settings, lambda _: opened)
    for store in opened:
        store.storage.close()  # type: ignore[attr-defined]


def test_accounts_of_the_hub_have_their_numbers_and_public_urls(
    hub: Hub, hub_stores: MediaStores, media: Path
) -> None:
    mine, yours = hub_stores.names
    assert hub_stores.facts(mine) == StoreFacts(mine, 2, "me/video-archive")
    assert hub_stores.facts(yours).number == 5
    hub_stores.put(mine, KEY, media)
    hub_stores.copy_to(yours, KEY, CONTENT)
    assert hub.datasets["you/video-archive"].files[KEY] == MEDIA
    url = f"{hub.url}/datasets/me/video-archive/resolve/main/{KEY}"
    assert hub_stores.direct_url(mine, KEY) == url
    assert hub_stores.hosts() == ("127.0.0.1",)
    assert hub_stores.has_url(url)
    assert hub_stores.has_url(f"{url}?download=true")
    base = url.removesuffix(KEY)
    for other in (
        *(f"{base}../../../../you/other/resolve/main/a.mp4", f"{base}%2e%2e/a", base),
        *(url.replace("/me/", "/them/"), url.replace("127.0.0.1", "127.0.0.2")),
        url.replace("http", "https"),
    ):
        assert not hub_stores.has_url(other)
    assert TOKEN not in repr(hub_stores.facts(mine))


def test_failures_of_stores_are_reported(tmp_path: Path, media: Path) -> None:
    failed: list[str] = []
    settings = Settings(archive_stores=(str(tmp_path / "one"), str(tmp_path / "two")))
    stores = MediaStores(settings, lambda given: configured(given, failed.append))
    shutil.rmtree(tmp_path / "one")
    stores.put("/".join((str(tmp_path), "two")), KEY, media)
    stores.stat(KEY)
    with pytest.raises(StorageUnavailable):
        stores.has(str(tmp_path / "one"), KEY)
    assert set(failed) == {"stat"}
