"""Files that clients send to a bucket themselves."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from botocore.exceptions import ClientError

from serve_app.errors import (
    StorageUnavailable,
    UploadBusy,
    UploadIncomplete,
    UploadNotFound,
)
from serve_app.storage import keys
from serve_app.storage.addresses import Bucket
from serve_app.storage.connection import Connection, code_of
from serve_app.storage.fetch import save
from serve_app.storage.port import UPLOADS, Offer

# S3 takes parts of at least 5 MiB, and no more than 10,000 of them.
PART_BYTES = 8 * 1024**2
_MOST_PARTS = 1000
# Claims lie where sweeps look for what is half done: a crash leaves none for long.
_CLAIMS = "partial"
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


@dataclass(frozen=True)
class _Unfinished:
    """Parts in a bucket that are no file yet."""

    key: str
    multipart_id: str
    begun_at: datetime


class S3Uploads:
    """Multipart uploads whose parts clients send by addresses signed for `seconds`.

    All that is known of one lies in the bucket. It is `uploads/{id}/{size}`, so that
    the id finds it, the size tells which parts are missing, and the name is with it.
    """

    def __init__(self, bucket: Bucket, seconds: int) -> None:
        self.seconds = seconds
        self._name = bucket.name
        self._prefix = f"{keys.folder(bucket.prefix)}/" if bucket.prefix else ""
        self._connection = Connection(bucket)
        self._client = self._connection.client

    def begin(self, upload_id: str, filename: str, size_bytes: int) -> Offer:
        """Let a file of that name and size be sent.

        The size of each part is signed with its address: nothing else can be sent.
        """
        key = f"{self._folder(upload_id)}{size_bytes}"
        with self._connection.translated(key):
            # Of a name, headers hold ASCII only, and 2 KB of it.
            begun = self._client.create_multipart_upload(
                Bucket=self._name,
                Key=key,
                Metadata={"filename": urlsafe_b64encode(filename.encode()).decode()},
            )
        sizes = part_sizes(size_bytes)
        urls = tuple(
            self._url(key, begun["UploadId"], number, size)
            for number, size in enumerate(sizes, 1)
        )
        return Offer(sizes[0], urls)

    @contextmanager
    def claimed(self, upload_id: str) -> Iterator[None]:
        """Keep an upload from being taken twice; raises UploadBusy when it would be."""
        key = f"{self._prefix}{_CLAIMS}/{keys.checked(upload_id)}"
        self._claim(key, uuid4().bytes)
        try:
            yield
        finally:
            # The sweep deletes it too.
            with suppress(StorageUnavailable), self._connection.translated(key):
                self._client.delete_object(Bucket=self._name, Key=key)

    def fetch(self, upload_id: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Bring a file that was sent whole to `path`; return its name."""
        key = self._file(upload_id) or self._completed(upload_id)
        try:
            answer = self._connection.get(key)
            save(self._connection.chunks(key, answer), path, is_wanted)
        except FileNotFoundError as err:
            raise _not_found() from err
        return urlsafe_b64decode(answer["Metadata"]["filename"]).decode()

    def give_up(self, upload_id: str) -> bool:
        """Delete what there is of an upload; False if there is nothing."""
        folder = self._folder(upload_id)
        parts = list(self._unfinished(folder))
        for each in parts:
            self._abort(each)
        file = self._file(upload_id)
        if file is not None:
            with self._connection.translated(file):
                self._client.delete_object(Bucket=self._name, Key=file)
        return file is not None or bool(parts)

    def sweep(self, before: datetime, folders: Sequence[str]) -> int:
        """Delete the parts of files that were begun `before` and never came whole.

        Of those in `folders`: files of ours are there, too, whose sender was killed.
        """
        ours = tuple(f"{self._prefix}{folder}/" for folder in folders)
        old = [
            each
            for each in self._unfinished(self._prefix)
            if each.key.startswith(ours) and each.begun_at < before
        ]
        for each in old:
            self._abort(each)
        return len(old)

    def _folder(self, upload_id: str) -> str:
        return f"{self._prefix}{UPLOADS}/{keys.checked(upload_id)}/"

    def _url(self, key: str, multipart_id: str, number: int, size_bytes: int) -> str:
        url: str = self._client.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self._name,
                "Key": key,
                "UploadId": multipart_id,
                "PartNumber": number,
                "ContentLength": size_bytes,
            },
            ExpiresIn=self.seconds,
        )
        return url

    def _claim(self, key: str, token: bytes) -> None:
        with self._connection.translated(key):
            try:
                self._client.put_object(
                    Bucket=self._name, Key=key, Body=token, IfNoneMatch="*"
                )
            except ClientError as err:
                if code_of(err) not in _TAKEN:
                    raise
                # A request that was tried again finds what its first try made.
                if not self._is(key, token):
                    raise UploadBusy(
                        "Another request takes this upload in just now. Look for its "
                        "job, or try again in a few minutes."
                    ) from err

    def _is(self, key: str, content: bytes) -> bool:
        try:
            return self._connection.get(key)["Body"].read() == content
        except FileNotFoundError:
            return False

    def _file(self, upload_id: str) -> str | None:
        """Return the key of an upload that is completed already."""
        folder = self._folder(upload_id)
        with self._connection.translated(folder):
            found = self._client.list_objects_v2(
                Bucket=self._name, Prefix=folder, MaxKeys=1
            )
        return next((entry["Key"] for entry in found.get("Contents", ())), None)

    def _completed(self, upload_id: str) -> str:
        """Make a file of the parts of an upload; return its key."""
        found = next(self._unfinished(self._folder(upload_id)), None)
        if found is None:
            raise _not_found()
        parts = self._parts(found)
        with self._connection.translated(found.key):
            self._client.complete_multipart_upload(
                Bucket=self._name,
                Key=found.key,
                UploadId=found.multipart_id,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": number, "ETag": etag}
                        for number, etag in enumerate(parts, 1)
                    ]
                },
            )
        return found.key

    def _parts(self, upload: _Unfinished) -> list[str]:
        """Return the ETags of all parts; UploadIncomplete unless all are whole."""
        sizes = part_sizes(int(upload.key.rpartition("/")[2]))
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._name, Key=upload.key, UploadId=upload.multipart_id
        )
        etags = {}
        with self._connection.translated(upload.key):
            for page in pages:
                for part in page.get("Parts", ()):
                    etags[part["PartNumber"], part["Size"]] = part["ETag"]
        wanted = list(enumerate(sizes, 1))
        missing = [str(part[0]) for part in wanted if part not in etags]
        if missing:
            raise UploadIncomplete(
                f"Of {len(sizes)} parts these have not come whole: "
                f"{', '.join(missing)}. Send them to their addresses, then try again."
            )
        return [etags[part] for part in wanted]

    def _unfinished(self, prefix: str) -> Iterator[_Unfinished]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._name, Prefix=prefix
        )
        with self._connection.translated(prefix):
            for page in pages:
                for entry in page.get("Uploads", ()):
                    yield _Unfinished(
                        entry["Key"], entry["UploadId"], entry["Initiated"]
                    )

    def _abort(self, upload: _Unfinished) -> None:
        with self._connection.translated(upload.key):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._name, Key=upload.key, UploadId=upload.multipart_id
                )
            except ClientError as err:
                # Somebody else was as quick.
                if code_of(err) != "NoSuchUpload":
                    raise


def part_sizes(size_bytes: int) -> list[int]:
    """Return the sizes of the parts of a file, all but the last the same."""
    part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
    whole, rest = divmod(size_bytes, part_bytes)
    return [part_bytes] * whole + ([rest] if rest else [])


def _not_found() -> UploadNotFound:
    return UploadNotFound(
        "There is no such upload: it was used, given up, or has expired. Begin another "
        "one by POST /uploads."
    )
