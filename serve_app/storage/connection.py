"""The connection to a bucket of S3 or of a compatible store."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import S3UploadFailedError
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
from serve_app.storage.addresses import Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
# The limit on consecutive interruptions of a download, each of which is resumed.
_MOST_CUTS = 5
_CUT = (IncompleteReadError, ResponseStreamingError, HTTPClientError, ConnectionError)
_REASONS = {
    "NoSuchBucket": "the bucket {bucket!r} does not exist",
    "AccessDenied": "the credentials have no access to the bucket {bucket!r}",
    "404": "the bucket {bucket!r} does not exist",
    "403": "the credentials have no access to the bucket {bucket!r}",
    "InvalidAccessKeyId": "the access key is unknown",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "QuotaExceeded": "it is full",
    "507": "it is full",
}


class OutOfRangeError(Exception):
    """The requested range starts after the end of the file."""


class Connection:
    """A bucket and its boto3 `client`, whose errors are translated.

    Failed requests are retried with backoff, within the retry quota of botocore's
    standard mode. Keys are the bucket's, with its prefix.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.client: S3Client = boto3.session.Session().client(
            "s3",
            endpoint_url=bucket.endpoint_url,
            region_name=bucket.region,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 4},
                # Compatible stores support no other checksum than MD5.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                signature_version="s3v4",
                s3={"addressing_style": "path" if bucket.endpoint_url else "auto"},
            ),
        )

    def get(
        self, key: str, start: int = 0, end: int | None = None, etag: str | None = None
    ) -> "GetObjectOutputTypeDef":
        """Start to read the bytes [start, end) of a file, of version `etag` if given.

        Raises FileNotFoundError if there is no such file, and OutOfRangeError.
        """
        wanted: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if start or end is not None:
            wanted["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with self.translated(key):
            return self.client.get_object(Bucket=self.bucket.name, Key=key, **wanted)

    def chunks(
        self, key: str, answer: "GetObjectOutputTypeDef", start: int = 0
    ) -> Iterator[bytes]:
        """Yield the body of `answer`; resume the same version if it is interrupted."""
        cuts, stop = 0, start + answer["ContentLength"]
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
                logger.warning(
                    "storage read resumed key=%s byte=%d error=%s",
                    *(key, start, json.dumps(str(err))),
                )
            answer = self.get(key, start, stop, answer["ETag"])

    @contextmanager
    def translated(self, key: str) -> Iterator[None]:
        """Translate the errors of a request for `key`."""
        try:
            yield
        except ClientError as err:
            code = code_of(err)
            if code in ("InvalidRange", "416"):
                raise OutOfRangeError from err
            # A response without a body does not say whether the bucket exists.
            if code == "NoSuchKey" or (code in ("404", "NotFound") and self._exists()):
                raise FileNotFoundError(2, "there is no such file", key) from err
            raise self._unavailable(err) from err
        except (BotoCoreError, S3UploadFailedError) as err:
            raise self._unavailable(err) from err

    def _exists(self) -> bool:
        try:
            self.client.head_bucket(Bucket=self.bucket.name)
        except ClientError as err:
            if code_of(err) in ("404", "NoSuchBucket", "NotFound"):
                return False
            raise self._unavailable(err) from err
        return True

    def _unavailable(self, err: Exception) -> StorageUnavailable:
        """Return the error with a reason that operators can act on."""
        cause: Any = err.__cause__ if isinstance(err, S3UploadFailedError) else err
        cause = cause or err.__context__ or err
        code = code_of(cause) if isinstance(cause, ClientError) else ""
        reason = _REASONS.get(code, code or type(cause).__name__)
        reason = reason.format(bucket=self.bucket.name)
        return StorageUnavailable(
            f"The file storage is unavailable ({reason}). Try again later."
        )


def code_of(error: ClientError) -> str:
    """Return the error code of the S3 response."""
    return error.response["Error"]["Code"]
