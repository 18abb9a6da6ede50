"""CRC-32 of stems, for zips: their files are read for it."""

import asyncio
import zlib

from serve_app.api.threads import run_in_thread
from serve_app.stems.http import lookup
from serve_app.stems.request import StemFile
from serve_app.storage.port import Storage

# More than the stems of all jobs that are downloaded at once; each is some bytes.
_MOST_KEPT = 4096


class Checksums:
    """Return the CRC-32 of stems; read the file of each once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._read: dict[str, asyncio.Future[int]] = {}

    async def of(self, stem: StemFile) -> int:
        """Return the CRC-32 of a stem's file; raise JobNotFound if it was deleted."""
        if stem.key not in self._read:
            self._start(stem.key)
        # Other requests may wait for it, so that one that is cancelled must not end it.
        return await asyncio.shield(self._read[stem.key])

    def _start(self, key: str) -> None:
        def forget_failure(done: asyncio.Future[int]) -> None:
            if done.cancelled() or done.exception() is not None:
                self._read.pop(key, None)

        while len(self._read) >= _MOST_KEPT:
            del self._read[next(iter(self._read))]
        reading = asyncio.ensure_future(run_in_thread(self._crc32, key))
        reading.add_done_callback(forget_failure)
        self._read[key] = reading

    def _crc32(self, key: str) -> int:
        value = 0
        with lookup.expired():
            for chunk in self._storage.read(key):
                value = zlib.crc32(chunk, value)
        return value
