"""The settings choose the file store, and the sources of songs."""

import shutil
from pathlib import Path

import pytest

from deployments.files import direct_uploads, file_storage, inputs
from serve_app.errors import RefusedUrl, StorageUnavailable, UnreachableUrl
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from serve_app.storage.s3 import S3Storage
from serve_app.storage.sharded import ShardedStorage
from serve_app.storage.uploads import S3Uploads


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
    with pytest.raises(ValueError, match=r"STORAGE.* must be s3://") as caught:
        file_storage(Settings(storage=(place,)))
    assert "hunter2" not in str(caught.value)


def test_files_can_be_sent_directly_where_there_is_a_bucket(tmp_path: Path) -> None:
    assert direct_uploads(Settings(data_dir=tmp_path)) is None
    settings = Settings(storage=(str(tmp_path), "s3://songs"), upload_seconds=60)
    uploads = direct_uploads(settings)
    assert isinstance(uploads, S3Uploads)
    assert uploads.seconds == 60


@pytest.mark.parametrize(
    ("settings", "url", "error", "reason"),
    [
        (
            {},
            "http://example.com/a.mp3",
            RefusedUrl,
            "'http://example.com' is not an h",
        ),
        ({}, "music/song.wav", RefusedUrl, "'music/song.wav' is not a URL.* curl -F"),
        ({}, "https://127.0.0.1/a.mp3", RefusedUrl, "public"),
        ({}, "s3://songs/a.mp3", RefusedUrl, "INPUT_BUCKETS"),
        ({"input_urls": False}, "https://example.com/a", RefusedUrl, "INPUT_URLS"),
        (
            {"input_url_hosts": "*.example.com, example.org"},
            "https://example.com/a.mp3",
            RefusedUrl,
            "not one that this server allows",
        ),
        (
            {"input_url_schemes": "http"},
            "http://nothing.invalid/a.mp3",
            UnreachableUrl,
            "no address",
        ),
        (
            {"input_buckets": "s3://songs/public s3://more"},
            "s3://songs/private/a.mp3",
            RefusedUrl,
            "INPUT_BUCKETS",
        ),
    ],
)
def test_settings_say_where_songs_are_fetched_from(
    tmp_path: Path,
    settings: dict[str, object],
    url: str,
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        inputs(Settings(**settings)).fetch(url, tmp_path / "song", lambda: True)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"input_url_schemes": "https,ftp"}, "STEMSERVE_INPUT_URL_SCHEMES"),
        ({"input_buckets": "songs"}, "STEMSERVE_INPUT_BUCKETS"),
    ],
)
def test_what_nothing_can_be_fetched_from_is_refused_at_start(
    settings: dict[str, object], name: str
) -> None:
    with pytest.raises(ValueError, match=name):
        inputs(Settings(**settings))


def test_each_of_several_stores_reports_its_failures(tmp_path: Path) -> None:
    """Also where another store has the file, so that no caller sees an error."""
    places = (tmp_path / "one", tmp_path / "two")
    settings = Settings(
        storage=tuple(map(str, places)), storage_salt="salt", storage_copies=2
    )
    failed: list[str] = []
    store = file_storage(settings, failed.append)
    (tmp_path / "song").write_bytes(b"la")
    store.put("originals/a", tmp_path / "song")
    assert failed == []
    shutil.rmtree(places[0])
    assert b"".join(store.read("originals/a")) == b"la"
    # The first store of a key depends on where the test runs.
    assert set(failed) <= {"read"}
    with pytest.raises(StorageUnavailable):
        store.put("originals/b", tmp_path / "song")
    assert failed[-1] == "put"
