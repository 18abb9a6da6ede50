"""Files that clients send to a bucket themselves, as a browser would."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from serve_app.errors import (
    Cancelled,
    StorageUnavailable,
    UploadBusy,
    UploadIncomplete,
    UploadNotFound,
)
from serve_app.stems.kind import FOLDERS
from serve_app.storage import uploads as module
from serve_app.storage.addresses import Bucket
from serve_app.storage.port import Offer
from serve_app.storage.s3 import S3Storage
from serve_app.storage.uploads import S3Uploads, part_sizes
from tests.s3 import S3Server

MIB = 1024**2
ID, OTHER = "a" * 32, "b" * 32
NAME = '노래 "1".wav'
SONG = bytes(range(256)) * (11 * MIB // 256)  # three parts, the last of which is short


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 5 * MIB)


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Bucket]:
    with s3.new_bucket() as bucket:
        yield replace(bucket, prefix="jobs")


@pytest.fixture
def uploads(bucket: Bucket) -> S3Uploads:
    return S3Uploads(bucket, 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song"


def send(offer: Offer, content: bytes, *, but: tuple[int, ...] = ()) -> None:
    """PUT the parts to their addresses, as any program could."""
    for number, url in enumerate(offer.part_urls, 1):
        start = (number - 1) * offer.part_bytes
        if number not in but:
            answer = httpx.put(url, content=content[start : start + offer.part_bytes])
            answer.raise_for_status()


def begun(uploads: S3Uploads, content: bytes = SONG, upload_id: str = ID) -> Offer:
    return uploads.begin(upload_id, NAME, len(content))


def unfinished(s3: S3Server, bucket: Bucket) -> list[dict[str, Any]]:
    answer = s3.client().list_multipart_uploads(Bucket=bucket.name)
    found: list[dict[str, Any]] = answer.get("Uploads", [])
    return found


def stored(bucket: Bucket) -> list[str]:
    return sorted(file.key for file in S3Storage(bucket).list(""))


@pytest.mark.parametrize(
    ("size_bytes", "sizes"),
    [
        (1, [1]),
        (5 * MIB, [5 * MIB]),
        (5 * MIB + 1, [5 * MIB, 1]),
        (12 * MIB, [5 * MIB, 5 * MIB, 2 * MIB]),
    ],
)
def test_parts_are_of_one_size_but_for_the_last(
    size_bytes: int, sizes: list[int]
) -> None:
    assert part_sizes(size_bytes) == sizes


@pytest.mark.parametrize("size_bytes", [10**10, 5 * 10**12, 123_456_789_012])
def test_no_file_has_more_parts_than_an_answer_should_name(size_bytes: int) -> None:
    sizes = part_sizes(size_bytes)
    assert sum(sizes) == size_bytes
    assert len(sizes) <= 1000
    assert set(sizes[:-1]) == {sizes[0]}


def test_a_file_that_was_sent_comes_whole_with_its_name(
    uploads: S3Uploads, path: Path
) -> None:
    offer = begun(uploads)
    assert (offer.part_bytes, len(offer.part_urls)) == (5 * MIB, 3)
    send(offer, SONG)
    assert uploads.fetch(ID, path, lambda: True) == NAME
    assert path.read_bytes() == SONG


def test_a_long_name_of_any_script_comes_back(uploads: S3Uploads, path: Path) -> None:
    name = "𝄞" * 255
    send(uploads.begin(ID, name, 4), b"song")
    assert uploads.fetch(ID, path, lambda: True) == name


def test_it_can_be_fetched_again_until_it_is_given_up(
    uploads: S3Uploads, bucket: Bucket, path: Path
) -> None:
    send(begun(uploads), SONG)
    for _ in range(2):
        uploads.fetch(ID, path, lambda: True)
        assert path.read_bytes() == SONG
    assert uploads.give_up(ID)
    assert stored(bucket) == []
    assert not uploads.give_up(ID)
    with pytest.raises(UploadNotFound):
        uploads.fetch(ID, path, lambda: True)


def test_parts_that_have_not_come_are_named(uploads: S3Uploads, path: Path) -> None:
    offer = begun(uploads)
    send(offer, SONG, but=(1, 3))
    with pytest.raises(UploadIncomplete, match=r"missing or incomplete: 1, 3\."):
        uploads.fetch(ID, path, lambda: True)
    send(offer, SONG, but=(2,))
    uploads.fetch(ID, path, lambda: True)
    assert path.read_bytes() == SONG


def test_a_part_of_another_size_is_not_taken(
    s3: S3Server, uploads: S3Uploads, path: Path
) -> None:
    offer = begun(uploads)
    send(offer, SONG, but=(2,))
    answer = httpx.put(offer.part_urls[1], content=bytes(6 * MIB))
    assert answer.status_code == (403 if s3.is_strict else 200)
    with pytest.raises(UploadIncomplete, match="missing or incomplete: 2"):
        uploads.fetch(ID, path, lambda: True)


def test_an_address_is_good_for_its_own_part_only(
    s3: S3Server, uploads: S3Uploads
) -> None:
    if not s3.is_strict:
        pytest.skip("moto believes every signature")
    url = begun(uploads).part_urls[0]
    for changed in (
        url.replace("partNumber=1", "partNumber=2"),
        url.replace(f"uploads/{ID}", f"uploads/{OTHER}"),
        url.replace(f"jobs/uploads/{ID}", f"jobs/originals/{ID}"),
        url.partition("?")[0],
    ):
        assert httpx.put(changed, content=bytes(5 * MIB)).status_code == 403
    assert httpx.get(url).is_error


def test_uploads_do_not_see_each_other(uploads: S3Uploads, path: Path) -> None:
    begun(uploads)
    send(begun(uploads, b"song", OTHER), b"song")
    uploads.fetch(OTHER, path, lambda: True)
    assert path.read_bytes() == b"song"
    assert uploads.give_up(OTHER)
    with pytest.raises(UploadIncomplete):
        uploads.fetch(ID, path, lambda: True)


def test_what_is_given_up_leaves_nothing(
    s3: S3Server, uploads: S3Uploads, bucket: Bucket
) -> None:
    offer = begun(uploads)
    send(offer, SONG, but=(3,))
    assert uploads.give_up(ID)
    assert unfinished(s3, bucket) == []
    assert httpx.put(offer.part_urls[2], content=SONG[10 * MIB :]).is_error


@pytest.mark.parametrize("upload_id", [ID, OTHER])
def test_what_was_never_begun_is_not_found(
    uploads: S3Uploads, path: Path, upload_id: str
) -> None:
    with pytest.raises(UploadNotFound):
        uploads.fetch(upload_id, path, lambda: True)


def test_an_upload_is_claimed_once_at_a_time(
    uploads: S3Uploads, bucket: Bucket
) -> None:
    with uploads.claimed(ID):
        with pytest.raises(UploadBusy), uploads.claimed(ID):
            pass
        with pytest.raises(UploadBusy), S3Uploads(bucket, 60).claimed(ID):
            pass
        with uploads.claimed(OTHER):
            assert stored(bucket) == [f"partial/{ID}", f"partial/{OTHER}"]
    with uploads.claimed(ID):
        pass
    assert stored(bucket) == []


def test_of_many_claims_at_once_one_holds(uploads: S3Uploads) -> None:
    all_tried = Barrier(8)

    def holds(_: int) -> bool:
        try:
            with uploads.claimed(ID):
                all_tried.wait(30)
                return True
        except UploadBusy:
            all_tried.wait(30)
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(holds, range(8))) == 1


def test_a_claim_whose_answer_was_lost_is_known_again(
    uploads: S3Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is tried again then, and finds what it made itself."""
    put = uploads._client.put_object

    def put_twice(**given: Any) -> Any:
        put(**given)
        return put(**given)

    monkeypatch.setattr(uploads._client, "put_object", put_twice)
    with (
        uploads.claimed(ID),
        pytest.raises(UploadBusy),
        uploads.claimed(ID),
    ):
        pass


def test_what_is_not_wanted_any_more_is_left(uploads: S3Uploads, path: Path) -> None:
    send(begun(uploads), SONG)
    answers = iter([True, True, False])
    with pytest.raises(Cancelled):
        uploads.fetch(ID, path, lambda: next(answers))
    assert path.stat().st_size < len(SONG)


def test_parts_that_nobody_completes_are_swept(
    s3: S3Server, uploads: S3Uploads, bucket: Bucket, path: Path
) -> None:
    send(begun(uploads), SONG, but=(3,))
    theirs = s3.client().create_multipart_upload(Bucket=bucket.name, Key="theirs/a")
    if s3.is_strict:  # moto's uploads were all begun in 2010.
        assert uploads.sweep(datetime.now(UTC) - timedelta(minutes=1), FOLDERS) == 0
    assert uploads.sweep(datetime.now(UTC) + timedelta(minutes=1), FOLDERS) == 1
    assert [each["Key"] for each in unfinished(s3, bucket)] == ["theirs/a"]
    with pytest.raises(UploadNotFound):
        uploads.fetch(ID, path, lambda: True)
    s3.client().abort_multipart_upload(
        Bucket=bucket.name, Key="theirs/a", UploadId=theirs["UploadId"]
    )


def test_a_bucket_that_does_not_exist_is_said(bucket: Bucket, path: Path) -> None:
    uploads = S3Uploads(replace(bucket, name="no-such-bucket"), 60)
    for call in (
        lambda: begun(uploads),
        lambda: uploads.fetch(ID, path, lambda: True),
        lambda: uploads.give_up(ID),
        lambda: uploads.sweep(datetime.now(UTC), FOLDERS),
        lambda: uploads.claimed(ID).__enter__(),
    ):
        with pytest.raises(StorageUnavailable, match="no-such-bucket"):
            call()
