"""Songs in buckets that clients may read from."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from serve_app.errors import RefusedUrl, UnreachableUrl, UploadTooLarge
from serve_app.storage.addresses import Bucket
from serve_app.storage.connection import Connection, code_of
from serve_app.storage.fetch import save

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_LONGEST_KEY_BYTES = 1024  # The protocol's limit.
# InvalidObjectState: the object is archived.
_NOT_READABLE = ("NoSuchBucket", "AccessDenied", "InvalidObjectState")


class InputBuckets:
    """Reads songs only from `buckets`, or from folders of them.

    It uses the credentials of the server.
    """

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        self._connections = [Connection(bucket) for bucket in buckets]

    def fetch(
        self, url: str, path: Path, max_bytes: int, is_wanted: Callable[[], bool]
    ) -> str:
        """Download the song at `s3://bucket/key` to `path`; return its name.

        The key is not decoded. Raises RefusedUrl, UnreachableUrl, UploadTooLarge before
        the first byte, StorageUnavailable, and Cancelled once `is_wanted` returns
        False.
        """
        name, _, key = url.removeprefix("s3://").partition("/")
        _check_key(key)
        connection = self._connection(name, key)
        try:
            answer = _opened(connection, key)
            if answer["ContentLength"] > max_bytes:
                answer["Body"].close()
                raise UploadTooLarge(f"The file is larger than {max_bytes} bytes.")
            save(connection.chunks(key, answer), path, is_wanted)
        except FileNotFoundError as err:
            raise _unreachable() from err
        return PurePosixPath(key).name

    def _connection(self, name: str, key: str) -> Connection:
        for connection in self._connections:
            bucket = connection.bucket
            if bucket.name == name and _is_in(key, bucket.prefix):
                return connection
        raise RefusedUrl(
            "This bucket, or this folder of it, is not allowed. The operator can allow "
            "it with STEMSERVE_INPUT_BUCKETS."
        )


def _opened(connection: Connection, key: str) -> "GetObjectOutputTypeDef":
    with connection.translated(key):
        try:
            return connection.client.get_object(Bucket=connection.bucket.name, Key=key)
        except ClientError as err:
            if code_of(err) in _NOT_READABLE:
                raise _unreachable() from err
            raise


def _check_key(key: str) -> None:
    # S3 has no relative paths, but some servers and proxies resolve dots.
    has_dots = any(segment in (".", "..") for segment in key.split("/"))
    if not key or has_dots or len(key.encode()) > _LONGEST_KEY_BYTES:
        raise RefusedUrl(
            "The URL must be s3://bucket/key, with a key of at most "
            f"{_LONGEST_KEY_BYTES} bytes and without the segments `.` and `..`."
        )


def _is_in(key: str, folder: str) -> bool:
    return not folder or key.startswith(f"{folder}/")


def _unreachable() -> UnreachableUrl:
    return UnreachableUrl(
        "The file does not exist in the bucket, or the server may not read it."
    )
