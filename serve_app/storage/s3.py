"""Files by key in a bucket of S3 or of a compatible store."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from serve_app.errors import StorageUnavailable
from serve_app.storage import keys
from serve_app.storage.addresses import Bucket
from serve_app.storage.connection import Connection, OutOfRangeError
from serve_app.storage.port import StoredFile

# Larger files are uploaded in parts of this size, a few at once.
PART_BYTES = 16 * 1024**2
_PARTS_AT_ONCE = 4
_MOST_DELETED_AT_ONCE = 1000  # The protocol's limit.


class S3Storage:
    """The files of a bucket, below its prefix."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._prefix = f"{keys.folder(bucket.prefix)}/" if bucket.prefix else ""
        self._connection = Connection(bucket)
        self._client = self._connection.client
        self._transfer = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

    def put(self, key: str, path: Path, *, synced: bool = True) -> None:
        """Store the file at `path` under `key` atomically.

        A large file is a multipart upload, which is aborted if a part fails.
        """
        place = self._place(key)
        with self._translated(key):
            self._client.upload_file(
                str(path), self._bucket.name, place, Config=self._transfer
            )

    def copy(self, source: str, key: str) -> None:
        """Let the server copy `source` to `key`; FileNotFoundError if it is missing."""
        place = self._place(source)
        with self._translated(source):
            self._client.copy(
                {"Bucket": self._bucket.name, "Key": place},
                *(self._bucket.name, self._place(key)),
                Config=self._transfer,
            )

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of `key`; FileNotFoundError if it is missing."""
        keys.check_range(start, end)
        if start == end:
            self.stat(key)
            return iter(())
        place = self._place(key)
        try:
            answer = self._connection.get(place, start, end)
        except OutOfRangeError:
            return iter(())
        return self._connection.chunks(place, answer, start)

    def stat(self, key: str) -> StoredFile:
        """Return the size and time of `key`; FileNotFoundError if it is missing."""
        place = self._place(key)
        with self._translated(key):
            head = self._client.head_object(Bucket=self._bucket.name, Key=place)
        return StoredFile(key, head["ContentLength"], head["LastModified"])

    def link(self, key: str, disposition: str, media_type: str, seconds: int) -> str:
        """Return a signed URL that is valid for `seconds`."""
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
        """Yield the files in the folder `prefix`, or all files if it is empty."""
        return self._files(f"{keys.folder(prefix)}/" if prefix else "")

    def delete(self, prefix: str) -> None:
        """Delete the file `prefix`, or all files in the folder `prefix`, if any."""
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
                f"The file storage can't delete files ({failure.get('Message')}). Try "
                "again later."
            )

    def _translated(self, key: str) -> AbstractContextManager[None]:
        return self._connection.translated(key)
