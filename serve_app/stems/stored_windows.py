"""Parts of songs in storage: each window's stems, from when they are computed.

They lie under `parts/{job}/{engine}/{window}`, as numpy's own files with a checksum
behind, and go once the job's stems are stored, or else with the job.
"""

import logging
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from serve_app.errors import StorageUnavailable
from serve_app.stems.kind import PARTS
from serve_app.storage.port import Storage

logger = logging.getLogger(__name__)

Samples = NDArray[np.float32]

# Each is a file of some 13 MB. If the store is slower than the device, the windows come
# so fast that it costs little to compute one again.
_MOST_WAITING = 4
# Parts are not synced to disk one by one: most are deleted before they would be
# written. What a power cut leaves of them is told by this.
_CHECKSUM_BYTES = 4
_NOT_KEPT = "window not kept window=%d job=%s: %s"


def folder(job_id: str) -> str:
    """Return where all parts of a job lie."""
    return f"{PARTS}/{job_id}"


def key(job_id: str, engine: str, index: int) -> str:
    """Return where a window's stems lie that the engine of this identity computed."""
    return f"{folder(job_id)}/{engine}/{index:06d}.npy"


def load(storage: Storage, job_id: str, engine: str, index: int) -> Samples | None:
    """Return the stems (source, 2, window) of a window; None if they are not there."""
    try:
        content = b"".join(storage.read(key(job_id, engine, index)))
    except FileNotFoundError:
        return None
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if _checksum(data) != checksum:
        logger.warning("window damaged window=%d job=%s", index, job_id)
        return None
    stems: Samples = np.load(BytesIO(data))
    return stems


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little")


def _write(path: Path, stems: Samples) -> None:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(
        header, np.lib.format.header_data_from_array_1_0(stems)
    )
    head, body = header.getvalue(), np.ascontiguousarray(stems).data
    checksum = zlib.crc32(body, zlib.crc32(head))
    with path.open("wb") as file:
        file.write(head)
        file.write(body)
        file.write(checksum.to_bytes(_CHECKSUM_BYTES, "little"))


class SongParts:
    """The windows of one job that one engine has computed, by this attempt or earlier.

    A context: what still waits to be stored when it is left is given up. A part that
    can't be stored is left out, and the log says so: its window would be computed again
    after a crash, but no job fails for want of it. `directory` is for files on their
    way to the store. Implements `separation.engine.KeptWindows`.
    """

    def __init__(
        self, storage: Storage, directory: Path, job_id: str, engine: str
    ) -> None:
        self._storage = storage
        self._directory = directory
        self._job_id = job_id
        self._engine = engine
        self._waiting: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, "parts")
        prefix = f"{folder(job_id)}/{engine}"
        self._stored = {file.key for file in storage.list(prefix)}
        if self._stored:
            logger.info(
                "song resumed job=%s windows=%d",
                *(job_id, len(self._stored)),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def load(self, index: int) -> Samples | None:
        """Return the stems (source, 2, window) of a window if they are stored."""
        if self._key(index) not in self._stored:
            return None
        # None if another attempt, which has ended by now, has cleaned up.
        return load(self._storage, self._job_id, self._engine, index)

    def keep(self, index: int, stems: Samples) -> None:
        """Begin to store a window's stems; they may be changed as soon as it returns.

        Left out while too many others wait: the device is faster than the store.
        """
        self._waiting = [one for one in self._waiting if not one.done()]
        if len(self._waiting) >= _MOST_WAITING:
            return
        path = self._directory / f"part-{index:06d}.npy"
        try:
            _write(path, stems)
        except OSError as err:
            logger.warning(_NOT_KEPT, index, self._job_id, err)
            path.unlink(missing_ok=True)
            return
        self._waiting.append(self._thread.submit(self._store, index, path))

    def _store(self, index: int, path: Path) -> None:
        try:
            self._storage.put(self._key(index), path, synced=False)
        except StorageUnavailable as err:
            logger.warning(_NOT_KEPT, index, self._job_id, err)
        finally:
            path.unlink(missing_ok=True)

    def _key(self, index: int) -> str:
        return key(self._job_id, self._engine, index)
