"""The settings choose the store of files."""

from pathlib import Path

import pytest

from deployments.wiring import file_storage
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.s3 import S3Storage
from serve_app.storage.sharded import ShardedStorage


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_files_lie_in_the_data_directory_by_default(tmp_path: Path) -> None:
    store = file_storage(Settings(data_dir=tmp_path))
    assert isinstance(store, LocalStorage)
    assert (tmp_path / "files").is_dir()


def test_a_directory_or_a_bucket_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_STORAGE", str(tmp_path / "elsewhere"))
    assert isinstance(file_storage(Settings()), LocalStorage)
    assert (tmp_path / "elsewhere").is_dir()
    place = "s3://songs/a/b?endpoint_url=http://localhost:1&region=here"
    monkeypatch.setenv("STEMSERVE_STORAGE", place)
    assert isinstance(file_storage(Settings()), S3Storage)


def test_several_are_used_as_one(tmp_path: Path) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"), "s3://three")
    settings = Settings(storage=places, storage_salt="salt")
    assert isinstance(file_storage(settings), ShardedStorage)


def test_several_want_a_salt(tmp_path: Path) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    with pytest.raises(ValueError, match="SALT"):
        file_storage(Settings(storage=places))


@pytest.mark.parametrize(
    "place", ["ftp://host/x", "s3://", "s3:///x", "s3://b?secret=hunter2"]
)
def test_what_is_no_store_is_refused_without_its_secrets(place: str) -> None:
    with pytest.raises(ValueError, match=r"STORAGE.* is no s3://") as caught:
        file_storage(Settings(storage=(place,)))
    assert "hunter2" not in str(caught.value)
