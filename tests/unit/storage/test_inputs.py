"""Songs in buckets that clients may name, and in no others."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serve_app.errors import (
    Cancelled,
    RefusedUrl,
    StorageUnavailable,
    UnreachableUrl,
    UploadTooLarge,
)
from serve_app.storage.addresses import Bucket
from serve_app.storage.inputs import InputBuckets
from tests.s3 import S3Server

SONG = bytes(range(256)) * 4096
KEY = "albums/A & B/노래 #1?.wav"


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Bucket]:
    with s3.new_bucket() as bucket:
        for key in (KEY, "secret/song.wav"):
            s3.client().put_object(Bucket=bucket.name, Key=key, Body=SONG)
        yield bucket


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song"


def fetch(bucket: Bucket, url: str, path: Path, max_bytes: int = 10**7) -> str:
    return InputBuckets([bucket]).fetch(url, path, max_bytes, lambda: True)


@pytest.mark.parametrize("folder", ["", "albums", "albums/A & B"])
def test_a_song_comes_whole_with_its_name(
    bucket: Bucket, path: Path, folder: str
) -> None:
    url = f"s3://{bucket.name}/{KEY}"
    name = fetch(replace(bucket, prefix=folder), url, path)
    assert name == "노래 #1?.wav"
    assert path.read_bytes() == SONG


@pytest.mark.parametrize(
    "key",
    [
        "",
        "secret/song.wav",
        "albumsecret/song.wav",
        "albums",
        "albums/../secret/song.wav",
        "albums/./song.wav",
        "/albums/song.wav",
        "albums/" + "x" * 1024,
    ],
)
def test_what_is_not_in_the_folder_is_refused(
    bucket: Bucket, path: Path, key: str
) -> None:
    with pytest.raises(RefusedUrl):
        fetch(replace(bucket, prefix="albums"), f"s3://{bucket.name}/{key}", path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["other", "", "x@{name}", "{name}:80", "{name}.evil"])
def test_other_buckets_are_refused_and_the_setting_is_named(
    bucket: Bucket, path: Path, name: str
) -> None:
    url = f"s3://{name.replace('{name}', bucket.name)}/{KEY}"
    with pytest.raises(RefusedUrl, match="STEMSERVE_INPUT_BUCKETS"):
        fetch(bucket, url, path)


def test_a_file_that_is_not_there_is_said(bucket: Bucket, path: Path) -> None:
    with pytest.raises(UnreachableUrl, match="does not exist in the bucket"):
        fetch(bucket, f"s3://{bucket.name}/nothing.wav", path)


def test_a_bucket_that_is_not_there_is_said(bucket: Bucket, path: Path) -> None:
    gone = replace(bucket, name="no-such-bucket")
    with pytest.raises(UnreachableUrl, match="does not exist in the bucket"):
        fetch(gone, "s3://no-such-bucket/song.wav", path)


def test_a_file_that_may_not_be_read_is_said(
    s3: S3Server, bucket: Bucket, path: Path
) -> None:
    if not s3.is_strict:
        pytest.skip("moto lets everybody in")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
        f'"Action": "s3:GetObject", "Resource": "arn:aws:s3:::{bucket.name}/secret/*"'
        "}]}"
    )
    s3.client().put_bucket_policy(Bucket=bucket.name, Policy=policy)
    with pytest.raises(UnreachableUrl, match="may not read it"):
        fetch(bucket, f"s3://{bucket.name}/secret/song.wav", path)


def test_what_is_too_large_is_refused_unread(bucket: Bucket, path: Path) -> None:
    with pytest.raises(UploadTooLarge):
        fetch(bucket, f"s3://{bucket.name}/{KEY}", path, len(SONG) - 1)
    assert not path.exists()
    fetch(bucket, f"s3://{bucket.name}/{KEY}", path, len(SONG))


def test_what_is_not_wanted_any_more_is_left(bucket: Bucket, path: Path) -> None:
    answers = iter([True, False])
    with pytest.raises(Cancelled):
        InputBuckets([bucket]).fetch(
            f"s3://{bucket.name}/{KEY}", path, 10**7, lambda: next(answers)
        )


def test_a_store_that_is_down_is_not_the_clients_fault(path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    bucket = Bucket("songs", "", f"http://127.0.0.1:{port}", "us-east-1")
    with pytest.raises(StorageUnavailable):
        fetch(bucket, "s3://songs/song.wav", path)
