"""What is a sharded store's own: where files go, and what happens when a store dies."""

from collections import Counter
from pathlib import Path

import pytest

from serve_app.errors import StorageUnavailable
from serve_app.storage.local import LocalStorage
from serve_app.storage.sharded import ShardedStorage
from tests.flaky import Flaky

SONG = bytes(range(256)) * 4096


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Flaky]:
    return {name: Flaky(tmp_path / name) for name in ("one", "two", "three", "four")}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song"
    path.write_bytes(SONG)
    return path


def holders(stores: dict[str, Flaky]) -> list[str]:
    return [name for name, store in stores.items() if any(LocalStorage.list(store, ""))]


def test_files_are_spread_evenly(stores: dict[str, Flaky]) -> None:
    sharded = ShardedStorage(stores, b"salt")
    firsts = Counter(sharded.order(f"originals/{number}")[0] for number in range(4000))
    assert all(850 < count < 1150 for count in firsts.values())


def test_a_new_store_takes_its_share_and_nothing_else_moves(
    stores: dict[str, Flaky],
) -> None:
    before = ShardedStorage({k: v for k, v in stores.items() if k != "four"}, b"salt")
    after = ShardedStorage(stores, b"salt")
    moved = 0
    for number in range(2000):
        old, new = before.order(f"a/{number}")[0], after.order(f"a/{number}")[0]
        assert new in (old, "four")
        moved += new != old
    assert 400 < moved < 600


def test_names_in_a_store_can_not_be_guessed(
    stores: dict[str, Flaky], song: Path
) -> None:
    ShardedStorage(stores, b"salt").put("stems/a/1/drums.wav", song)
    (holder,) = holders(stores)
    (file,) = LocalStorage.list(stores[holder], "")
    folder, _, name = file.key.rpartition("/")
    assert folder == "stems/a/1"
    assert name.endswith("-drums.wav")
    tag = name.removesuffix("-drums.wav")
    assert len(tag) == 32
    other = ShardedStorage(stores, b"pepper")
    with pytest.raises(FileNotFoundError):
        other.stat("stems/a/1/drums.wav")


def test_without_a_salt_names_are_exact_and_evenly_spread(
    stores: dict[str, Flaky], song: Path
) -> None:
    sharded = ShardedStorage(stores, None, copies=4)
    sharded.put("1234/ep5/name.mp4", song)
    for store in stores.values():
        assert [file.key for file in store.list("")] == ["1234/ep5/name.mp4"]
    firsts = Counter(sharded.order(f"1/ep{number}")[0] for number in range(4000))
    assert all(850 < count < 1150 for count in firsts.values())
    sharded.delete("1234/ep5")
    assert holders(stores) == []


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_each_file_lies_in_as_many_stores_as_it_has_copies(
    stores: dict[str, Flaky], song: Path, copies: int
) -> None:
    sharded = ShardedStorage(stores, b"salt", copies)
    sharded.put("originals/a", song)
    assert sorted(holders(stores)) == sorted(sharded.order("originals/a")[:copies])
    assert [file.key for file in sharded.list("originals")] == ["originals/a"]


def test_reads_fall_over_to_another_copy(stores: dict[str, Flaky], song: Path) -> None:
    sharded = ShardedStorage(stores, b"salt", copies=2)
    sharded.put("originals/a", song)
    stores[sharded.order("originals/a")[0]].is_down = True
    assert b"".join(sharded.read("originals/a")) == SONG
    assert sharded.stat("originals/a").size_bytes == len(SONG)
    assert [file.key for file in sharded.list("")] == ["originals/a"]


def test_a_read_goes_on_elsewhere_when_a_store_dies_on_the_way(
    stores: dict[str, Flaky], song: Path
) -> None:
    sharded = ShardedStorage(stores, b"salt", copies=2)
    sharded.put("originals/a", song)
    stores[sharded.order("originals/a")[0]].breaks_after = 2
    assert b"".join(sharded.read("originals/a", 7, 900_000)) == SONG[7:900_000]


def test_a_read_without_another_copy_fails_and_is_not_passed_off_as_whole(
    stores: dict[str, Flaky], song: Path
) -> None:
    sharded = ShardedStorage(stores, b"salt")
    sharded.put("originals/a", song)
    stores[sharded.order("originals/a")[0]].breaks_after = 1
    with pytest.raises(StorageUnavailable):
        list(sharded.read("originals/a"))


def test_a_store_that_is_down_is_passed_over_and_found_again(
    stores: dict[str, Flaky], song: Path
) -> None:
    sharded = ShardedStorage(stores, b"salt", copies=2)
    first, second, third, _ = sharded.order("originals/a")
    stores[first].is_down = True
    sharded.put("originals/a", song)
    assert sorted(holders(stores)) == sorted([second, third])
    stores[first].is_down = False
    assert b"".join(sharded.read("originals/a")) == SONG


def test_too_few_stores_for_the_copies_are_an_error(
    stores: dict[str, Flaky], song: Path
) -> None:
    for name in ("one", "two", "three"):
        stores[name].is_down = True
    with pytest.raises(StorageUnavailable):
        ShardedStorage(stores, b"salt", copies=2).put("originals/a", song)


def test_what_may_lie_in_a_store_that_is_down_is_not_said_to_be_missing(
    stores: dict[str, Flaky], song: Path
) -> None:
    sharded = ShardedStorage(stores, b"salt")
    sharded.put("originals/a", song)
    stores[sharded.order("originals/a")[0]].is_down = True
    with pytest.raises(StorageUnavailable):
        sharded.stat("originals/a")


def test_a_deletion_is_not_done_before_every_store_has_done_it(
    stores: dict[str, Flaky], song: Path
) -> None:
    sharded = ShardedStorage(stores, b"salt", copies=4)
    sharded.put("stems/a/1/drums.wav", song)
    stores["two"].is_down = True
    with pytest.raises(StorageUnavailable):
        sharded.delete("stems/a")
    assert holders(stores) == ["two"]
    stores["two"].is_down = False
    sharded.delete("stems/a")
    assert holders(stores) == []


def test_files_that_are_not_its_own_are_listed_as_they_are_and_can_be_deleted(
    stores: dict[str, Flaky], song: Path
) -> None:
    stores["one"].put("partial/0123456789abcdef0123456789abcdef", song)
    sharded = ShardedStorage(stores, b"salt")
    (file,) = sharded.list("partial")
    assert file.key == "partial/0123456789abcdef0123456789abcdef"
    sharded.delete(file.key)
    assert holders(stores) == []


@pytest.mark.parametrize("copies", [0, 5])
def test_copies_that_can_not_be_are_refused(
    stores: dict[str, Flaky], copies: int
) -> None:
    with pytest.raises(ValueError, match="copies"):
        ShardedStorage(stores, b"salt", copies)


def test_a_salt_that_is_none_is_refused(stores: dict[str, Flaky]) -> None:
    with pytest.raises(ValueError, match="salt"):
        ShardedStorage(stores, b"")
