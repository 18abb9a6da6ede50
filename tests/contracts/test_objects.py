"""The contract of buckets that others fill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.storage.objects import DirectoryObjects, Objects
from serve_app.storage.s3_objects import S3Objects
from tests.s3 import S3Server

SONG = bytes(range(256)) * 4096  # larger than any chunk
KEYS = (
    *("plain", "a.wav", "audio/a b.wav", "a:b/2026-01-02T03:04:05.678901Z.json"),
    *("음악/킥 드럼.wav", "ä+ö&=?#%20.wav", "a//b", "/a", "a/", ".hidden", "%2E/x"),
    *("a\\b", "'quoted'", '"q"', "*", "~", "🎵.wav", "e\u0301.wav", "é.wav"),
)


@pytest.fixture
def directory_objects(tmp_path: Path) -> DirectoryObjects:
    return DirectoryObjects(tmp_path / "bucket")


@pytest.fixture
def s3_objects(s3: S3Server) -> Iterator[S3Objects]:
    with s3.new_bucket() as bucket:
        yield S3Objects(bucket)


@pytest.fixture(params=["directory_objects", "s3_objects"])
def objects(request: pytest.FixtureRequest) -> Objects:
    objects: Objects = request.getfixturevalue(request.param)
    return objects


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return written(tmp_path / "song", SONG)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(objects: Objects, key: str) -> bytes:
    return b"".join(objects.read(key))


def test_all_keys_are_apart(objects: Objects, tmp_path: Path) -> None:
    for number, key in enumerate(KEYS):
        objects.put(key, written(tmp_path / "x", b"%d" % number), "audio/wav")
    for number, key in enumerate(KEYS):
        assert read(objects, key) == b"%d" % number, key


def test_what_was_put_is_read_whole(objects: Objects, song: Path) -> None:
    objects.put("a", song, "audio/wav")
    assert read(objects, "a") == SONG
    assert objects.stat("a").size_bytes == len(SONG)


def test_a_copy_stays_when_the_file_changes(objects: Objects, song: Path) -> None:
    objects.put("a", song, "audio/wav")
    song.write_bytes(b"other")
    assert read(objects, "a") == SONG


def test_another_content_has_another_tag(objects: Objects, song: Path) -> None:
    objects.put("a", song, "audio/wav")
    before = objects.stat("a")
    assert objects.stat("a") == before
    objects.put("a", written(song, SONG[::-1]), "audio/wav")
    assert objects.stat("a").tag != before.tag
    assert read(objects, "a") == SONG[::-1]


def test_a_missing_object_is_said_at_once(objects: Objects) -> None:
    with pytest.raises(FileNotFoundError):
        objects.stat("a/b")
    with pytest.raises(FileNotFoundError):
        objects.read("a/b")


def test_a_folder_is_no_object(objects: Objects, song: Path) -> None:
    objects.put("a/b", song, "audio/wav")
    with pytest.raises(FileNotFoundError):
        objects.stat("a")


def test_what_is_deleted_is_gone_and_nothing_else(objects: Objects, song: Path) -> None:
    objects.put("a/b", song, "audio/wav")
    objects.put("a/bc", song, "audio/wav")
    objects.delete("a/b")
    objects.delete("a/b")
    with pytest.raises(FileNotFoundError):
        objects.stat("a/b")
    assert read(objects, "a/bc") == SONG


def test_an_empty_object_is_an_object(objects: Objects, tmp_path: Path) -> None:
    objects.put("a", written(tmp_path / "empty", b""), "audio/wav")
    assert read(objects, "a") == b""


def test_where_a_file_is_no_folder_can_be(
    directory_objects: DirectoryObjects, song: Path
) -> None:
    directory_objects.put("a", song, "audio/wav")
    with pytest.raises(PermissionError):
        directory_objects.put("a/b", song, "audio/wav")
    directory_objects.put("c/d", song, "audio/wav")
    with pytest.raises((PermissionError, FileNotFoundError)):
        directory_objects.put("c", song, "audio/wav")
