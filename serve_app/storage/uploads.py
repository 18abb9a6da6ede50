"""Direct uploads of clients to a bucket."""

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

# S3 requires parts of at least 5 MiB, and at most 10,000 of them.
PART_BYTES = 8 * 1024**2
_MOST_PARTS = 1000
# Claims are in the folder of incomplete files, where a sweep deletes those of crashes.
_CLAIMS = "partial"
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


@dataclass(frozen=True)
class _Unfinished:
    """A multipart upload that is not completed."""

    key: str
    multipart_id: str
    begun_at: datetime


class S3Uploads:
    """Multipart uploads that clients send to URLs which are valid for `seconds`.

    Their state is only in the bucket. The key `uploads/{id}/{size}` has the size, which
    shows the missing parts; the object's metadata has the file's name.
    """

    def __init__(self, bucket: Bucket, seconds: int) -> None:
        self.seconds = seconds
        self._name = bucket.name
        self._prefix = f"{keys.folder(bucket.prefix)}/" if bucket.prefix else ""
        self._connection = Connection(bucket)
        self._client = self._connection.client

    def begin(self, upload_id: str, filename: str, size_bytes: int) -> Offer:
        """Start the upload of a file with this name and size.

        The URL of each part signs its size: parts of another size are refused.
        """
        key = f"{self._folder(upload_id)}{size_bytes}"
        with self._connection.translated(key):
            # Metadata is sent in headers: ASCII only, at most 2 KB.
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
        """Lock an upload; raise UploadBusy if another request has locked it."""
        key = f"{self._prefix}{_CLAIMS}/{keys.checked(upload_id)}"
        self._claim(key, uuid4().bytes)
        try:
            yield
        finally:
            # If this fails, the sweep deletes it.
            with suppress(StorageUnavailable), self._connection.translated(key):
                self._client.delete_object(Bucket=self._name, Key=key)

    def fetch(self, upload_id: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Download a complete upload to `path`; return the file's name."""
        key = self._file(upload_id) or self._completed(upload_id)
        try:
            answer = self._connection.get(key)
            save(self._connection.chunks(key, answer), path, is_wanted)
        except FileNotFoundError as err:
            raise _not_found() from err
        return urlsafe_b64decode(answer["Metadata"]["filename"]).decode()

    def give_up(self, upload_id: str) -> bool:
        """Delete an upload; return False if there is none."""
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
        """Delete incomplete uploads in `folders` that were started before `before`.

        They include the server's own, if its process was killed. Returns their number.
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
                # A retried request finds the claim of its own first attempt.
                if not self._is(key, token):
                    raise UploadBusy(
                        "Another request is processing this upload. Look for its job, "
                        "or try again in a few minutes."
                    ) from err

    def _is(self, key: str, content: bytes) -> bool:
        try:
            return self._connection.get(key)["Body"].read() == content
        except FileNotFoundError:
            return False

    def _file(self, upload_id: str) -> str | None:
        """Return the key of a completed upload, or None."""
        folder = self._folder(upload_id)
        with self._connection.translated(folder):
            found = self._client.list_objects_v2(
                Bucket=self._name, Prefix=folder, MaxKeys=1
            )
        return next((entry["Key"] for entry in found.get("Contents", ())), None)

    def _completed(self, upload_id: str) -> str:
        """Complete a multipart upload; return its key."""
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
        """Return the ETags of all parts; raise UploadIncomplete if any is missing."""
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
                f"Of {len(sizes)} parts, these are missing or incomplete: "
                f"{', '.join(missing)}. Send them to their URLs, then try again."
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
                # Another request has aborted it meanwhile.
                if code_of(err) != "NoSuchUpload":
                    raise


def part_sizes(size_bytes: int) -> list[int]:
    """Return the sizes of the parts of a file: all but the last are equal."""
    part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
    whole, rest = divmod(size_bytes, part_bytes)
    return [part_bytes] * whole + ([rest] if rest else [])


def _not_found() -> UploadNotFound:
    return UploadNotFound(
        "There is no such upload: it was used or cancelled, or it has expired. Start a "
        "new one with POST /uploads."
    )
