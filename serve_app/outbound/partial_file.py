"""A file received in several responses, each of which continues the last."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

_PARTIAL_CONTENT = 206
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


class WrongRange(Exception):
    """A server sent other bytes than the requested ones, or not all of them."""


@dataclass(frozen=True)
class ByteRange:
    """A range of a file; `length_bytes` None is the file from `start` on."""

    start: int = 0
    length_bytes: int | None = None


_WHOLE_FILE = ByteRange()


class PartialFile:
    """The bytes of a file, or of a range of it, so far; and how to ask for the rest.

    Bytes are kept only while the server says that its file is the same (RFC 9110,
    If-Range): two versions are never mixed. `total_bytes` is the size of the whole
    file, None until a response states it. `version` is the validator of the bytes that
    `file` already has; without one they are not continued.
    """

    def __init__(
        self,
        file: BinaryIO,
        range: ByteRange = _WHOLE_FILE,
        version: str | None = None,
        total_bytes: int | None = None,
    ) -> None:
        self._file = file
        self._range = range
        self.version = version
        self.total_bytes = total_bytes

    @property
    def size_bytes(self) -> int:
        """The number of bytes received."""
        return self._file.tell()

    @property
    def expected_bytes(self) -> int | None:
        """The number of bytes to receive, or None if that is unknown."""
        if self._range.length_bytes is not None:
            return self._range.length_bytes
        if self.total_bytes is None:
            return None
        return self.total_bytes - self._range.start

    @property
    def is_whole(self) -> bool:
        """Whether all bytes have been received; true if their number is unknown."""
        return self.expected_bytes in (None, self.size_bytes)

    def request_headers(self) -> dict[str, str]:
        """Return the headers of a request for the missing bytes, or for all of them."""
        # Compressed bytes could not be counted.
        headers = {"Accept-Encoding": "identity"}
        start = self._range.start
        if self.size_bytes and self.version is not None:
            start += self.size_bytes
            headers["If-Range"] = self.version
        if start or self._range != _WHOLE_FILE:
            length = self._range.length_bytes
            last = "" if length is None else self._range.start + length - 1
            headers["Range"] = f"bytes={start}-{last}"
        return headers

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Prepare to write the body of a successful response, from byte 0 if need be.

        `headers` have names in lower case, or ignore the case. Raises WrongRange.
        """
        if status != _PARTIAL_CONTENT:
            self.restart()
            if self._range != _WHOLE_FILE:
                raise WrongRange("the server sent the whole file instead of a range")
            self.version = validator(headers)
            length = headers.get("content-length", "")
            self.total_bytes = int(length) if _LENGTH.fullmatch(length) else None
            return
        if self.version is None:
            # A first response, or bytes that the request did not continue.
            self.restart()
            self.version = validator(headers)
        self._check_version(headers)
        content_range = headers.get("content-range", "")
        found = parsed_range(content_range)
        start = self._range.start + self.size_bytes
        if found is None or found[0] != start:
            self.restart()
            raise WrongRange(
                f"the server sent the range {content_range!r} instead of the bytes "
                f"from {start} on"
            )
        if (total_bytes := found[1]) is None:
            return
        if self.total_bytes not in (None, total_bytes):
            self.restart()
            raise WrongRange("the file's size has changed")
        self.total_bytes = total_bytes

    def _check_version(self, headers: Mapping[str, str]) -> None:
        """Raise WrongRange if a partial response is of another version of the file."""
        name = "etag" if (self.version or "").startswith('"') else "last-modified"
        stated = headers.get(name)
        if self.version is not None and stated not in (None, self.version):
            self.restart()
            raise WrongRange("the file has changed")

    def write(self, chunk: bytes) -> None:
        """Append bytes of a body."""
        self._file.write(chunk)

    def restart(self) -> None:
        """Discard the bytes, so that the next request is for all of them."""
        self._file.seek(0)
        self._file.truncate()
        self.version = self.total_bytes = None


def parsed_range(content_range: str) -> tuple[int, int | None] | None:
    """Return the start and, if stated, the size of the file in a Content-Range."""
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    if match is None:
        return None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def validator(headers: Mapping[str, str]) -> str | None:
    """Return the validator for If-Range: a strong ETag, or Last-Modified, or None."""
    tag, date = headers.get("etag", ""), headers.get("last-modified", "")
    version = tag if tag.startswith('"') else date
    # Other characters could not be sent back.
    return version if version and version.isascii() else None
