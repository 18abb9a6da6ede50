"""What the local store promises beyond the contract of all stores."""

import errno
import os
from pathlib import Path

import pytest

from serve_app.errors import StorageUnavailable
from serve_app.storage.local import PARTIAL, LocalStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "new" / "files"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song"
    path.write_bytes(b"sound" * 1000)
    return path


def failing(code: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_missing_root_is_made(storage: LocalStorage, root: Path) -> None:
    assert root.is_dir()


def test_a_root_that_can_not_be_made_is_refused(song: Path) -> None:
    with pytest.raises(ValueError, match="inside"):
        LocalStorage(song / "files")


def test_a_root_may_be_a_symbolic_link(root: Path, song: Path, tmp_path: Path) -> None:
    root.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(root)
    LocalStorage(link).put("originals/a", song)
    assert (root / "originals" / "a").is_file()


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_file_is_shared_where_that_works_and_copied_elsewhere(
    storage: LocalStorage,
    root: Path,
    song: Path,
    is_copied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_copied:
        monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    storage.put("originals/a", song)
    stored = root / "originals" / "a"
    assert stored.read_bytes() == song.read_bytes()
    assert stored.samefile(song) is not is_copied


def test_what_a_symbolic_link_names_is_stored_and_not_the_link(
    storage: LocalStorage, root: Path, song: Path
) -> None:
    link = song.with_name("link")
    link.symlink_to(song)
    storage.put("originals/a", link)
    assert not (root / "originals" / "a").is_symlink()


@pytest.mark.parametrize("function", ["fsync", "link"])
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EIO, "storage is unavailable"),
    ],
)
def test_a_disk_that_fails_is_unavailable_and_the_old_file_stays(
    storage: LocalStorage,
    song: Path,
    function: str,
    code: int,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage.put("originals/a", song)
    new = song.with_name("new song")
    new.write_bytes(b"new")
    with monkeypatch.context() as broken:
        broken.setattr(os, function, failing(code))
        broken.setattr("shutil.copyfile", failing(code))
        with pytest.raises(StorageUnavailable, match=advice):
            storage.put("originals/a", new)
    assert b"".join(storage.read("originals/a")) == song.read_bytes()
    assert [file.key for file in storage.list("")] == ["originals/a"]


def test_a_directory_that_is_gone_is_unavailable(
    storage: LocalStorage, root: Path, song: Path
) -> None:
    """As when a disk is not mounted: nothing is stored in its place."""
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(StorageUnavailable, match="mount"):
        storage.put("originals/a", song)
    assert not root.exists()


def test_everything_is_synced_before_it_is_seen_and_its_name_after(
    storage: LocalStorage, root: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = root / "stems" / "a" / "1"
    synced = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.is_dir(), stored.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    storage.put("stems/a/1", song)
    assert synced == [(False, False), (True, True), (True, True), (True, True)]


def test_symbolic_links_inside_are_never_followed(
    storage: LocalStorage, root: Path, song: Path
) -> None:
    outside = song.with_name("outside")
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "originals").symlink_to(outside)
    (root / "stems").mkdir()
    (root / "stems" / "a").symlink_to(outside / "secret")
    for key in ("originals/secret", "stems/a"):
        with pytest.raises(ValueError, match="symbolic link"):
            b"".join(storage.read(key))
        with pytest.raises(ValueError, match="symbolic link"):
            storage.put(key, song)
        with pytest.raises(ValueError, match="symbolic link"):
            storage.delete(key)
    assert list(storage.list("")) == []
    storage.delete("stems")
    assert (outside / "secret").read_bytes() == b"secret"
    assert not (root / "stems").exists()


def test_deleting_leaves_no_empty_folders(
    storage: LocalStorage, root: Path, song: Path
) -> None:
    storage.put("stems/a/1/drums.wav", song)
    storage.put("stems/a/2/drums.wav", song)
    storage.delete("stems/a/1/drums.wav")
    assert [path.name for path in (root / "stems" / "a").iterdir()] == ["2"]
    storage.delete("stems/a/2")
    assert list((root / "stems").iterdir()) == []


@pytest.mark.parametrize("key", ["stems/a/1", "stems/a"])
def test_a_key_inside_of_another_is_refused(
    storage: LocalStorage, song: Path, key: str
) -> None:
    storage.put("stems/a/1" if key == "stems/a" else "stems/a", song)
    with pytest.raises(ValueError, match="be inside another key"):
        storage.put(key, song)


def test_what_a_crash_leaves_can_be_listed_and_deleted(
    storage: LocalStorage, root: Path
) -> None:
    (root / PARTIAL).mkdir()
    (root / PARTIAL / "half").write_bytes(b"so")
    assert [file.key for file in storage.list(PARTIAL)] == [f"{PARTIAL}/half"]
    storage.delete(f"{PARTIAL}/half")
    assert list(storage.list("")) == []
