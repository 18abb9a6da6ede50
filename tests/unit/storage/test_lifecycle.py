"""Rules by which a bucket deletes what was forgotten in it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from serve_app.errors import StorageUnavailable
from serve_app.stems import kind
from serve_app.storage import lifecycle
from serve_app.storage.addresses import Bucket
from tests.s3 import S3Server

FOLDERS = ["derived/", "originals/", "partial/", "parts/", "stems/", "uploads/"]
THEIRS = {
    "ID": "theirs",
    "Filter": {"Prefix": "logs/"},
    "Status": "Enabled",
    "Expiration": {"Days": 90},
}


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Bucket]:
    with s3.new_bucket() as bucket:
        yield bucket


def rules(s3: S3Server, bucket: Bucket) -> dict[str, dict[str, Any]]:
    answer = s3.client().get_bucket_lifecycle_configuration(Bucket=bucket.name)
    return {rule["Filter"]["Prefix"]: rule for rule in answer["Rules"]}


@pytest.mark.parametrize("prefix", ["", "jobs"])
def test_the_folders_of_jobs_get_rules_and_nothing_else_does(
    s3: S3Server, bucket: Bucket, prefix: str
) -> None:
    folders = lifecycle.expire(replace(bucket, prefix=prefix), 2, kind.FOLDERS)
    wanted = [f"{prefix}/{folder}".removeprefix("/") for folder in FOLDERS]
    assert sorted(folders) == wanted
    found = rules(s3, bucket)
    assert sorted(found) == wanted
    for rule in found.values():
        assert rule["Status"] == "Enabled"
        assert rule["Expiration"] == {"Days": 2}
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_rules_of_others_stay_and_our_own_are_replaced(
    s3: S3Server, bucket: Bucket
) -> None:
    s3.client().put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": [THEIRS]}
    )
    for days in (1, 3):
        lifecycle.expire(bucket, days, kind.FOLDERS)
    found = rules(s3, bucket)
    assert sorted(found) == sorted([*FOLDERS, "logs/"])
    assert found["logs/"] == THEIRS
    assert found["stems/"]["Expiration"] == {"Days": 3}


def test_a_bucket_that_is_not_there_is_said(s3: S3Server, bucket: Bucket) -> None:
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        lifecycle.expire(replace(bucket, name="no-such-bucket"), 1, kind.FOLDERS)
