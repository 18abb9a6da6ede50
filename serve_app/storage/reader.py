"""Stored files that are read at any position, such as by a decoder."""

import io

from serve_app.errors import FileLost
from serve_app.storage.port import Storage

# As much as a decoder reads for a second of sound; a store over a network takes longer
# for each request than for these bytes.
_BLOCK_BYTES = 256 * 1024


class StoredFileReader(io.RawIOBase):
    """Reads the file `key` of a store as a seekable file, a block at a time.

    Raises FileLost if it is missing, and StorageUnavailable.
    """

    # Without a suffix: decoders detect the format by the bytes.
    name = "stored"

    def __init__(self, storage: Storage, key: str, size_bytes: int) -> None:
        self._storage = storage
        self._key = key
        self._size_bytes = size_bytes
        self._position = 0
        self._block, self._block_start = b"", 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        origin = {io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        self._position = max(0, origin.get(whence, 0) + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer` up to the end of a block; return the number of bytes."""
        inside = self._position - self._block_start
        if not 0 <= inside < len(self._block):
            self._load()
            inside = 0
        data = self._block[inside : inside + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _load(self) -> None:
        self._block_start = self._position
        end = min(self._position + _BLOCK_BYTES, self._size_bytes)
        if self._position >= end:
            self._block = b""
            return
        try:
            chunks = self._storage.read(self._key, self._position, end)
            self._block = b"".join(chunks)
        except FileNotFoundError as error:
            raise FileLost(f"The stored file {self._key} is missing.") from error
