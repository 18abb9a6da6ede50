"""What is S3's own: parts, signed addresses, and what goes wrong on a network."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from serve_app.errors import StorageUnavailable
from serve_app.storage import s3 as s3_module
from serve_app.storage.addresses import Bucket
from serve_app.storage.s3 import S3Storage
from tests.s3 import S3Server

MIB = 1024**2
DISPOSITION = "attachment; filename=\"song_drums.wav\"; filename*=UTF-8''song.wav"


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Bucket]:
    with s3.new_bucket() as bucket:
        yield bucket


@pytest.fixture
def storage(bucket: Bucket) -> S3Storage:
    return S3Storage(bucket)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song"
    path.write_bytes(bytes(range(256)) * 1024)
    return path


def test_a_large_file_goes_up_in_parts(
    s3: S3Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "PART_BYTES", 5 * MIB)
    large = tmp_path / "large"
    large.write_bytes(b"0123456789abcdef" * (11 * MIB // 16))
    storage = S3Storage(bucket)
    storage.put("originals/a", large)
    found = s3.client().head_object(Bucket=bucket.name, Key="originals/a")
    assert found["ETag"].endswith('-3"')
    assert b"".join(storage.read("originals/a")) == large.read_bytes()


def test_parts_of_an_upload_that_fails_are_given_up(
    s3: S3Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "PART_BYTES", 5 * MIB)
    large = tmp_path / "large"
    large.write_bytes(bytes(11 * MIB))
    storage = S3Storage(bucket)

    def fail(params: Any, **_: Any) -> None:
        if params["query_string"]["partNumber"] == 2:
            raise ConnectionResetError("the cable was pulled")

    storage._client.meta.events.register("before-call.s3.UploadPart", fail)
    with pytest.raises((StorageUnavailable, ConnectionResetError)):
        storage.put("originals/a", large)
    uploads = s3.client().list_multipart_uploads(Bucket=bucket.name)
    assert uploads.get("Uploads", []) == []
    with pytest.raises(FileNotFoundError):
        storage.stat("originals/a")


def test_folders_of_one_bucket_are_apart(bucket: Bucket, song: Path) -> None:
    one = S3Storage(Bucket(bucket.name, "one", bucket.endpoint_url, bucket.region))
    other = S3Storage(Bucket(bucket.name, "other", bucket.endpoint_url, bucket.region))
    one.put("originals/a", song)
    other.put("originals/b", song)
    assert [file.key for file in one.list("")] == ["originals/a"]
    one.delete("originals/b")
    assert other.stat("originals/b").size_bytes == song.stat().st_size


def test_more_files_than_one_request_can_name_are_deleted(
    storage: S3Storage, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "_MOST_DELETED_AT_ONCE", 2)
    for number in range(5):
        storage.put(f"stems/a/{number}", song)
    storage.delete("stems/a")
    assert list(storage.list("")) == []


def test_a_link_gives_the_file_its_name_and_type(
    storage: S3Storage, song: Path
) -> None:
    storage.put("stems/a/1/drums.wav", song)
    link = storage.link("stems/a/1/drums.wav", DISPOSITION, "audio/wav", 60)
    answer = httpx.get(link)
    assert answer.content == song.read_bytes()
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-disposition"] == DISPOSITION
    part = httpx.get(link, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, song.read_bytes()[5:10])


def test_a_link_that_has_expired_or_was_tampered_with_is_refused(
    s3: S3Server, storage: S3Storage, song: Path
) -> None:
    if not s3.is_strict:
        pytest.skip("moto believes every signature")
    for key in ("stems/a/1/drums.wav", "stems/b/1/drums.wav"):
        storage.put(key, song)
    link = storage.link("stems/a/1/drums.wav", DISPOSITION, "audio/wav", 2)
    assert httpx.get(link).status_code == 200
    assert httpx.get(link.replace("stems/a", "stems/b")).status_code == 403
    assert httpx.get(link.replace("audio%2Fwav", "text%2Fhtml")).status_code == 403
    assert httpx.get(link.replace("X-Amz-Expires=2", "X-Amz-Expires=99")).is_error
    assert httpx.get(link.partition("?")[0]).status_code == 403
    time.sleep(3)
    assert httpx.get(link).status_code == 403


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials_are_refused_and_said(
    s3: S3Server,
    bucket: Bucket,
    song: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    if not s3.is_strict:
        pytest.skip("moto believes every signature")
    monkeypatch.setenv(name, "hunter2")
    storage = S3Storage(bucket)
    with pytest.raises(StorageUnavailable, match="key") as caught:
        storage.put("originals/a", song)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StorageUnavailable):
        storage.stat("originals/a")


def test_a_bucket_that_does_not_exist_is_named(bucket: Bucket, song: Path) -> None:
    missing = Bucket("no-such-bucket", "", bucket.endpoint_url, bucket.region)
    storage = S3Storage(missing)
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        storage.put("originals/a", song)
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        storage.stat("originals/a")
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        list(storage.read("originals/a"))
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        list(storage.list("originals"))
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        storage.delete("originals/a")


def test_a_server_that_is_down_is_said_soon(song: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    storage = S3Storage(Bucket("b", "", f"http://127.0.0.1:{port}", "us-east-1"))
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="file storage is unavailable"):
        storage.put("originals/a", song)
    assert time.monotonic() - began < 20


class CuttingProxy:
    """Passes a server on, and cuts the connection after so many bytes of answers."""

    def __init__(self, url: str, cut_after_bytes: int, cuts: int) -> None:
        address = urlsplit(url)
        self._target = (address.hostname, address.port)
        self._cut_after_bytes = cut_after_bytes
        self.cuts_left = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.create_connection(self._target)
        Thread(target=self._copy, args=(client, server, None), daemon=True).start()
        self._copy(server, client, self._cut_after_bytes)

    def _copy(
        self, one: socket.socket, other: socket.socket, limit: int | None
    ) -> None:
        passed = 0
        try:
            while data := one.recv(16_384):
                passed += len(data)
                if limit is not None and passed > limit and self.cuts_left:
                    self.cuts_left -= 1
                    break
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            # Not `close` alone: the other thread still waits on it.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def through(
    s3: S3Server, bucket: Bucket, song: Path
) -> Iterator[Callable[[int, int], tuple[S3Storage, CuttingProxy]]]:
    """Reach a bucket that has a song by a line that is cut."""
    S3Storage(bucket).put("originals/a", song)
    proxies: list[CuttingProxy] = []

    def make(cut_after_bytes: int, cuts: int) -> tuple[S3Storage, CuttingProxy]:
        proxies.append(CuttingProxy(s3.url, cut_after_bytes, cuts))
        url = proxies[-1].url
        return S3Storage(Bucket(bucket.name, "", url, bucket.region)), proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.mark.parametrize("cuts", [1, 4])
def test_a_download_that_is_cut_goes_on_where_it_stopped(
    through: Callable[[int, int], tuple[S3Storage, CuttingProxy]],
    song: Path,
    cuts: int,
) -> None:
    storage, proxy = through(60_000, cuts)
    assert b"".join(storage.read("originals/a", 7)) == song.read_bytes()[7:]
    assert proxy.cuts_left == 0


def test_a_line_that_is_always_cut_is_said(
    through: Callable[[int, int], tuple[S3Storage, CuttingProxy]],
) -> None:
    storage, _ = through(100, 1000)
    with pytest.raises(StorageUnavailable, match="file storage is unavailable"):
        list(storage.read("originals/a"))
