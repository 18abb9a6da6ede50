"""Files by key in a bucket of S3, or of anything that speaks its protocol."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from serve_app.errors import StorageUnavailable
from serve_app.storage import keys
from serve_app.storage.port import StoredFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
# Files over this go up in parts of this size, a few at once.
PART_BYTES = 16 * 1024**2
_PARTS_AT_ONCE = 4
# A download that is cut off goes on where it stopped, so often in a row.
_MOST_CUTS = 5
_MOST_DELETED_AT_ONCE = 1000  # The protocol's limit.
_CUT = (IncompleteReadError, ResponseStreamingError, HTTPClientError, ConnectionError)
_REASONS = {
    "NoSuchBucket": "the bucket {bucket!r} does not exist",
    "AccessDenied": "the credentials may not use the bucket {bucket!r}",
    "404": "the bucket {bucket!r} does not exist",
    "403": "the credentials may not use the bucket {bucket!r}",
    "InvalidAccessKeyId": "the access key is unknown",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "QuotaExceeded": "it is full",
    "507": "it is full",
}


class _OutOfRangeError(Exception):
    """The file ends before what was asked for begins."""


@dataclass(frozen=True)
class Bucket:
    """Where the files lie: a bucket, and a folder in it.

    Without an endpoint it is Amazon's. Credentials, and a region that is not given,
    come from where boto3 looks for them: the environment, its files, the machine.
    """

    name: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None


class S3Storage:
    """The files of a bucket, below its prefix.

    Requests are tried again after a pause, as long as most of them succeed (botocore's
    standard mode has a budget for retries).
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._prefix = f"{keys.folder(bucket.prefix)}/" if bucket.prefix else ""
        self._client: S3Client = boto3.session.Session().client(
            "s3",
            endpoint_url=bucket.endpoint_url,
            region_name=bucket.region,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 4},
                # Stores that are not Amazon's know no other checksum than MD5.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                signature_version="s3v4",
                s3={"addressing_style": "path" if bucket.endpoint_url else "auto"},
            ),
        )
        self._transfer = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key`, whole or not at all.

        A large one goes up in parts, which are given up together when one fails.
        """
        place = self._place(key)
        with self._translated(key):
            self._client.upload_file(
                str(path), self._bucket.name, place, Config=self._transfer
            )

    def copy(self, source: str, key: str) -> None:
        """Have the server copy `source` to `key`; FileNotFoundError if it is gone."""
        place = self._place(source)
        with self._translated(source):
            self._client.copy(
                {"Bucket": self._bucket.name, "Key": place},
                *(self._bucket.name, self._place(key)),
                Config=self._transfer,
            )

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if there is none."""
        keys.check_range(start, end)
        if start == end:
            self.stat(key)
            return iter(())
        try:
            answer = self._get(key, start, end)
        except _OutOfRangeError:
            return iter(())
        stop = start + answer["ContentLength"]
        return self._chunks(key, answer, start, stop)

    def stat(self, key: str) -> StoredFile:
        """Describe `key`; FileNotFoundError if there is none."""
        place = self._place(key)
        with self._translated(key):
            head = self._client.head_object(Bucket=self._bucket.name, Key=place)
        return StoredFile(key, head["ContentLength"], head["LastModified"])

    def link(self, key: str, disposition: str, media_type: str, seconds: int) -> str:
        """Return an address that is signed for so many seconds."""
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket.name,
                "Key": self._place(key),
                "ResponseContentDisposition": disposition,
                "ResponseContentType": media_type,
            },
            ExpiresIn=seconds,
        )
        return url

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Yield the files in the folder `prefix`, or every file when it is empty."""
        return self._files(f"{keys.folder(prefix)}/" if prefix else "")

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix` or all files in the folder `prefix`, if any."""
        name = keys.folder(prefix)
        with self._translated(name):
            self._client.delete_object(Bucket=self._bucket.name, Key=self._place(name))
        found = (file.key for file in self._files(f"{name}/"))
        while some := tuple(islice(found, _MOST_DELETED_AT_ONCE)):
            self._delete_all(some)

    def _place(self, key: str) -> str:
        return self._prefix + keys.checked(key)

    def _files(self, folder: str) -> Iterator[StoredFile]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket.name, Prefix=self._prefix + folder
        )
        with self._translated(folder):
            for page in pages:
                for entry in page.get("Contents", ()):
                    key = entry["Key"].removeprefix(self._prefix)
                    yield StoredFile(key, entry["Size"], entry["LastModified"])

    def _delete_all(self, names: Sequence[str]) -> None:
        with self._translated(names[0]):
            answer = self._client.delete_objects(
                Bucket=self._bucket.name,
                Delete={
                    "Objects": [{"Key": self._place(name)} for name in names],
                    "Quiet": True,
                },
            )
        for failure in answer.get("Errors", ()):
            raise StorageUnavailable(
                f"The file store does not delete ({failure.get('Message')}); "
                "try again later."
            )

    def _get(
        self, key: str, start: int, end: int | None, etag: str | None = None
    ) -> "GetObjectOutputTypeDef":
        """Begin to read a range, of the version `etag` if it is given."""
        wanted: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if start or end is not None:
            wanted["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with self._translated(key):
            return self._client.get_object(
                Bucket=self._bucket.name, Key=self._place(key), **wanted
            )

    def _chunks(
        self, key: str, answer: "GetObjectOutputTypeDef", start: int, stop: int
    ) -> Iterator[bytes]:
        """Yield what was asked for; go on, with the same version, where it is cut."""
        cuts = 0
        while True:
            try:
                with closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(CHUNK_BYTES):
                        start += len(chunk)
                        cuts = 0
                        yield chunk
                return
            except _CUT as err:
                cuts += 1
                if cuts > _MOST_CUTS:
                    raise self._unavailable(err) from err
                logger.warning("reading %s goes on at byte %d: %s", key, start, err)
            answer = self._get(key, start, stop, answer["ETag"])

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as err:
            code = err.response["Error"]["Code"]
            if code in ("InvalidRange", "416"):
                raise _OutOfRangeError from err
            # An answer without a body does not tell a file from a bucket.
            if code == "NoSuchKey" or (code in ("404", "NotFound") and self._exists()):
                raise FileNotFoundError(2, "there is no such file", key) from err
            raise self._unavailable(err) from err
        except (BotoCoreError, S3UploadFailedError) as err:
            raise self._unavailable(err) from err

    def _exists(self) -> bool:
        try:
            self._client.head_bucket(Bucket=self._bucket.name)
        except ClientError as err:
            if err.response["Error"]["Code"] in ("404", "NoSuchBucket", "NotFound"):
                return False
            raise self._unavailable(err) from err
        return True

    def _unavailable(self, err: Exception) -> StorageUnavailable:
        """Say what is wrong, in words an operator can act on."""
        cause: Any = err.__cause__ if isinstance(err, S3UploadFailedError) else err
        cause = cause or err.__context__ or err
        code = ""
        if isinstance(cause, ClientError):
            code = cause.response["Error"]["Code"]
        reason = _REASONS.get(code, code or type(cause).__name__)
        reason = reason.format(bucket=self._bucket.name)
        return StorageUnavailable(
            f"The file store does not answer ({reason}); try again later."
        )
