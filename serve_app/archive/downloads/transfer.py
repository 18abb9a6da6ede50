"""Downloads of single files, which any process continues where another was killed."""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

from serve_app.archive.downloads.room import Room
from serve_app.archive.downloads.source import Source
from serve_app.archive.media_types import HEAD_BYTES
from serve_app.outbound.client import OutboundResponse
from serve_app.outbound.partial_file import ByteRange, PartialFile, WrongRange

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1024**2
_ACCEPTED = (
    HTTPStatus.OK,
    HTTPStatus.PARTIAL_CONTENT,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
)
WHOLE_FILE = ByteRange()


@dataclass(frozen=True)
class Whole:
    """A file that is complete: its hash is of what lies on the disk."""

    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Kept:
    """What is known of a file that lies beside it; `sha256` once it is complete."""

    url: str = ""
    version: str | None = None
    total_bytes: int | None = None
    sha256: str | None = None


def without_query(url: str) -> str:
    """Return a URL without what tokens are in: its query, and its fragment."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def digest(path: Path, source: Source) -> str:
    """Return the SHA-256 of a file; raises Cancelled."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            source.check_wanted()
            found.update(chunk)
    return found.hexdigest()


@dataclass(frozen=True)
class Transfer:
    """A download to `path`; what is known of the file lies beside it, as JSON.

    The file survives its process. It is continued from the same URL if the server says
    that its file is the same, by a strong ETag or Last-Modified; where the query has
    changed, by a strong ETag only. `check_head` gets the file's first bytes early.
    """

    source: Source
    room: Room
    path: Path
    range: ByteRange = WHOLE_FILE
    check_head: Callable[[bytes], object] = lambda _: None
    report: Callable[[int, int | None], None] = lambda _bytes, _total: None

    def fetch(self, url: str, *, is_same: bool = False) -> Whole:
        """Return the complete file; it is fetched as far as it is missing.

        `is_same` says that a complete file is known to be what is at `url`. Raises the
        errors of `Source` and of `Room`, and OSError of the disk.
        """
        with _opened(self.path) as file:
            run = _Run(self, url, file)
            if not run.resumed(is_same):
                self.source.until_done(run.attempt)
            return run.finished()

    @property
    def kept(self) -> Kept:
        """What is known of the file, if anything."""
        with suppress(FileNotFoundError, ValueError, TypeError):
            return Kept(**json.loads(self._beside.read_bytes()))
        return Kept()

    def keep(self, kept: Kept) -> None:
        """Replace what is known of the file, at once."""
        new = self._beside.with_suffix(".new")
        new.write_text(json.dumps(asdict(kept)))
        new.replace(self._beside)

    @property
    def _beside(self) -> Path:
        return self.path.with_suffix(".json")


class _Run:
    """The attempts of one process at a transfer."""

    def __init__(self, transfer: Transfer, url: str, file: BinaryIO) -> None:
        self._transfer = transfer
        self._source, self._room = transfer.source, transfer.room
        self._url = url
        self._file = file
        self._name = str(transfer.path)
        self._has_head = False
        self._has_new_query = False
        kept = transfer.kept
        self._partial = PartialFile(
            file, transfer.range, kept.version, kept.total_bytes
        )
        self._hash = hashlib.sha256()
        self._most_bytes = 0

    def resumed(self, is_same: bool) -> bool:
        """Take over the bytes of earlier runs; return whether the file is complete."""
        kept = self._transfer.kept
        size_bytes = self._file.seek(0, os.SEEK_END)
        is_same = is_same or kept.url == self._url
        self._has_new_query = not is_same and self._has_other_query(kept)
        if not is_same and not self._has_new_query:
            self._restart()
            return False
        if self._has_new_query and size_bytes:
            # The last byte is asked for again: the response tells whether the file,
            # which may be complete, is still the same.
            size_bytes = self._file.truncate(size_bytes - 1)
        self._rehash()
        if kept.sha256 is not None and not self._has_new_query:
            if self._hash.hexdigest() == kept.sha256:
                self._room.resize(self._name, size_bytes)
                return self._checked_head(is_whole=True)
            logger.warning("download restarted path=%s reason=hash", self._name)
            self._restart()
            return False
        if size_bytes == 0 or self._partial.version is None:
            self._restart()
            return False
        self._room.resize(self._name, size_bytes)
        is_whole = size_bytes == self._partial.expected_bytes
        return is_whole and self._checked_head(is_whole=True)

    def attempt(self) -> None:
        """Receive the missing bytes; raise INTERRUPTED if some are still missing."""
        headers = self._partial.request_headers()
        with self._source.get(self._url, headers, _ACCEPTED) as response:
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._check_end(response)
            else:
                self._begin(response)
                for chunk in self._source.chunks(response):
                    self._write(chunk)
            if not self._partial.is_whole:
                raise WrongRange("the server sent fewer bytes than it stated")
        self._checked_head(is_whole=True)

    def finished(self) -> Whole:
        """Record that the file is complete."""
        self._file.flush()
        transfer, sha256 = self._transfer, self._hash.hexdigest()
        transfer.keep(replace(self._kept(), sha256=sha256))
        return Whole(transfer.path, self._partial.size_bytes, sha256)

    def _check_end(self, response: OutboundResponse) -> None:
        """Raise WrongRange unless the file ends where the missing bytes would begin."""
        size_bytes = self._partial.size_bytes
        stated = response.headers.get("content-range", "").replace(" ", "")
        is_end = self._transfer.range == WHOLE_FILE and stated == f"bytes*/{size_bytes}"
        if not is_end or not size_bytes or self._has_new_query:
            self._restart()
            raise WrongRange("the server no longer has the rest of the file")

    def _begin(self, response: OutboundResponse) -> None:
        size_bytes = self._partial.size_bytes
        is_partial = response.status == HTTPStatus.PARTIAL_CONTENT
        has_same_tag = response.headers.get("etag") == self._partial.version
        if size_bytes and self._has_new_query and is_partial and not has_same_tag:
            # It may be another file, although that was not asked for.
            self._restart()
            raise WrongRange("the file at the new URL is another one")
        try:
            self._partial.begin(response.status, response.headers)
        finally:
            if self._partial.size_bytes != size_bytes:
                self._begin_anew()
        self._has_new_query = False
        self._transfer.keep(self._kept())
        if (expected_bytes := self._partial.expected_bytes) is not None:
            self._room.expect(self._name, expected_bytes)

    def _write(self, chunk: bytes) -> None:
        partial = self._partial
        partial.write(chunk)
        self._hash.update(chunk)
        size_bytes = partial.size_bytes
        self._source.tally.add(len(chunk), max(0, size_bytes - self._most_bytes))
        self._most_bytes = max(self._most_bytes, size_bytes)
        self._room.resize(self._name, size_bytes)
        if partial.expected_bytes is not None and size_bytes > partial.expected_bytes:
            self._restart()
            raise WrongRange("the server sent more bytes than it stated")
        self._checked_head()
        self._transfer.report(size_bytes, partial.expected_bytes)

    def _checked_head(self, is_whole: bool = False) -> bool:
        """Check the first bytes, once there are enough; return True."""
        size_bytes = self._partial.size_bytes
        if not self._has_head and (is_whole or size_bytes >= HEAD_BYTES):
            self._file.seek(0)
            head = self._file.read(HEAD_BYTES)
            self._file.seek(size_bytes)
            self._transfer.check_head(head)
            self._has_head = True
        return True

    def _has_other_query(self, kept: Kept) -> bool:
        is_strong = (kept.version or "").startswith('"')
        return is_strong and without_query(kept.url) == without_query(self._url)

    def _kept(self) -> Kept:
        return Kept(self._url, self._partial.version, self._partial.total_bytes)

    def _restart(self) -> None:
        self._partial.restart()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._hash = hashlib.sha256()
        self._has_head = False
        self._room.resize(self._name, 0)

    def _rehash(self) -> None:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            self._source.check_wanted()
            self._hash.update(chunk)
        self._most_bytes = self._file.tell()


def _opened(path: Path) -> BinaryIO:
    """Open a file to read and write it; its bytes stay."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
