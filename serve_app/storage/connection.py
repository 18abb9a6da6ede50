"""A bucket of S3, or of anything that speaks its protocol, and how it is asked."""

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
# A download that is cut off goes on where it stopped, so often in a row.
_MOST_CUTS = 5
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


class OutOfRangeError(Exception):
    """The file ends before what was asked for begins."""


class Connection:
    """A bucket that is asked by `client`; what goes wrong is told in our words.

    Requests are tried again after a pause, as long as most of them succeed (botocore's
    standard mode has a budget for retries). Keys are those of the bucket.
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
                # Stores that are not Amazon's know no other checksum than MD5.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                signature_version="s3v4",
                s3={"addressing_style": "path" if bucket.endpoint_url else "auto"},
            ),
        )

    def get(
        self, key: str, start: int = 0, end: int | None = None, etag: str | None = None
    ) -> "GetObjectOutputTypeDef":
        """Begin to read the range [start, end), of the version `etag` if it is given.

        Raises FileNotFoundError if there is none, and OutOfRangeError.
        """
        wanted: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if start or end is not None:
            wanted["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with self.translated(key):
            return self.client.get_object(Bucket=self.bucket.name, Key=key, **wanted)

    def chunks(
        self, key: str, answer: "GetObjectOutputTypeDef", start: int = 0
    ) -> Iterator[bytes]:
        """Yield what was asked for; go on, with the same version, where it is cut."""
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
                logger.warning("reading %s goes on at byte %d: %s", key, start, err)
            answer = self.get(key, start, stop, answer["ETag"])

    @contextmanager
    def translated(self, key: str) -> Iterator[None]:
        """Speak of the failures of a request for `key` as ours."""
        try:
            yield
        except ClientError as err:
            code = code_of(err)
            if code in ("InvalidRange", "416"):
                raise OutOfRangeError from err
            # An answer without a body does not tell a file from a bucket.
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
        """Say what is wrong, in words an operator can act on."""
        cause: Any = err.__cause__ if isinstance(err, S3UploadFailedError) else err
        cause = cause or err.__context__ or err
        code = code_of(cause) if isinstance(cause, ClientError) else ""
        reason = _REASONS.get(code, code or type(cause).__name__)
        reason = reason.format(bucket=self.bucket.name)
        return StorageUnavailable(
            f"The file store does not answer ({reason}); try again later."
        )


def code_of(error: ClientError) -> str:
    """Return the protocol's word for what is wrong."""
    return error.response["Error"]["Code"]
