"""The objects of a bucket of S3, by keys of any form."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from serve_app.storage.addresses import Bucket
from serve_app.storage.connection import Connection, code_of
from serve_app.storage.objects import ObjectFacts
from serve_app.storage.s3 import PART_BYTES

_MISSING = "stemserve-probe"
_NO_REASON = "403"
_FORBIDDEN = ("AccessDenied", _NO_REASON)
# Parts of an upload are kept in memory: one at a time.
_TRANSFER = TransferConfig(
    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
)


class S3Objects:
    """The objects of a bucket; see `Objects`."""

    def __init__(self, bucket: Bucket) -> None:
        self._name = bucket.name
        self._connection = Connection(bucket)
        self._client = self._connection.client

    def stat(self, key: str) -> ObjectFacts:
        """Return the facts of an object."""
        with self._translated(key):
            head = self._client.head_object(Bucket=self._name, Key=key)
        return ObjectFacts(head["ContentLength"], head["ETag"])

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object; an interrupted read is resumed."""
        with self._translated(key):
            answer = self._connection.get(key)
        return self._connection.chunks(key, answer)

    def put(self, key: str, path: Path, media_type: str) -> None:
        """Store the file at `path`; a large one is a multipart upload."""
        with self._translated(key):
            self._client.upload_file(
                str(path),
                self._name,
                key,
                ExtraArgs={"ContentType": media_type},
                Config=_TRANSFER,
            )

    def delete(self, key: str) -> None:
        """Delete an object."""
        with self._translated(key):
            self._client.delete_object(Bucket=self._name, Key=key)

    def probe(self) -> None:
        """Ask for an object that is missing, which credentials may not be told."""
        with suppress(FileNotFoundError, PermissionError):
            for _ in self.read(_MISSING):
                return

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Translate errors; one object may be forbidden where the bucket is not.

        S3 also answers 403 for missing objects to credentials that may not list.
        """
        try:
            with self._connection.translated(key):
                yield
        except Exception as err:
            cause = err.__cause__
            if not isinstance(cause, ClientError) or code_of(cause) not in _FORBIDDEN:
                raise
            said = self._said(key, cause)
            if code_of(said) not in _FORBIDDEN:
                with self._connection.translated(key):
                    raise said from None
            raise PermissionError(
                13, "the credentials have no access to this object", key
            ) from cause

    def _said(self, key: str, error: ClientError) -> ClientError:
        """Return the reason for a 403: a response to HEAD has none.

        Wrong or expired credentials are no matter of one object.
        """
        if code_of(error) != _NO_REASON:
            return error
        try:
            got = self._client.get_object(Bucket=self._name, Key=key, Range="bytes=0-0")
        except ClientError as said:
            return said
        got["Body"].close()
        return error
