"""Computed windows of songs in storage, from which a later attempt resumes.

The keys are `parts/{job}/{engine}/{window}`. Each is a numpy file followed by a
checksum. Beside them each attempt stores a file that says how they are joined. All are
deleted when the job's stems are stored, or with the job.
"""

import json
import logging
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from serve_app.errors import StorageUnavailable
from serve_app.jobs import codec
from serve_app.separation.windows import WindowSpec
from serve_app.stems.kind import WINDOWS
from serve_app.storage.port import Storage

logger = logging.getLogger(__name__)

Samples = NDArray[np.float32]

# Each window is a file of some 13 MB. On a device that is faster than the store,
# computing a window again costs little.
_MOST_WAITING = 4
# Windows are not synced to disk one by one: most are deleted before they would be
# written. The checksum detects files that a power failure left incomplete.
_CHECKSUM_BYTES = 4
_SUFFIX = ".npy"
_NOT_KEPT = "window not kept window=%d job=%s: %s"


@dataclass(frozen=True)
class Layout:
    """The engine whose windows an attempt uses, and what it takes to join them.

    `engine` is the engine's identity, `sources` the stems of a window in their order.
    """

    engine: str
    sources: tuple[str, ...]
    sample_rate: int
    window: WindowSpec


def folder(job_id: str) -> str:
    """Return the folder of all windows of a job."""
    return f"{WINDOWS}/{job_id}"


def key(job_id: str, engine: str, index: int) -> str:
    """Return the key of a window that the engine with this identity computed."""
    return f"{folder(job_id)}/{engine}/{index:06d}{_SUFFIX}"


def find_layout(storage: Storage, job_id: str, attempt: int) -> Layout | None:
    """Return the layout that an attempt at a job has stored, or None."""
    name = _layout_name(attempt)
    for file in storage.list(folder(job_id)):
        if file.key.endswith(f"/{name}"):
            try:
                content = b"".join(storage.read(file.key))
            except FileNotFoundError:
                return None
            return codec.from_json(Layout, json.loads(content))
    return None


def _layout_name(attempt: int) -> str:
    return f"attempt-{attempt}.json"


def load(storage: Storage, job_id: str, engine: str, index: int) -> Samples | None:
    """Return the stems (source, 2, window) of a window.

    None if the file does not exist or is damaged.
    """
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


class SongWindows:
    """The windows of one job that one engine computed, in this attempt or earlier.

    A context manager: windows that still wait to be stored at its exit are dropped. A
    window that can't be stored is skipped and logged. A later attempt computes it
    again; the job does not fail. `directory` holds files on their way to the store.
    Implements `separation.engine.KeptWindows`.
    """

    def __init__(
        self,
        storage: Storage,
        directory: Path,
        job_id: str,
        attempt: int,
        layout: Layout,
    ) -> None:
        self._storage = storage
        self._directory = directory
        self._job_id = job_id
        self._attempt = attempt
        self._layout = layout
        self._waiting: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, "windows")
        self._folder = f"{folder(job_id)}/{layout.engine}"
        found = (file.key for file in storage.list(self._folder))
        self._stored = {key for key in found if key.endswith(_SUFFIX)}
        if self._stored:
            logger.info(
                "song resumed job=%s windows=%d",
                *(job_id, len(self._stored)),
            )

    def __enter__(self) -> Self:
        self._thread.submit(self._store_layout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def load(self, index: int) -> Samples | None:
        """Return the stems (source, 2, window) of a window, or None if not stored."""
        if self._key(index) not in self._stored:
            return None
        # None also if an earlier attempt has deleted it while it ended.
        return load(self._storage, self._job_id, self._layout.engine, index)

    def keep(self, index: int, stems: Samples) -> None:
        """Start to store a window's stems; the caller may change them afterwards.

        The window is skipped while too many others wait to be stored.
        """
        self._waiting = [each for each in self._waiting if not each.done()]
        if len(self._waiting) >= _MOST_WAITING:
            return
        path = self._directory / f"window-{index:06d}{_SUFFIX}"
        try:
            _write(path, stems)
        except OSError as err:
            logger.warning(_NOT_KEPT, index, self._job_id, err)
            path.unlink(missing_ok=True)
            return
        self._waiting.append(self._thread.submit(self._store, index, path))

    def _store_layout(self) -> None:
        path = self._directory / _layout_name(self._attempt)
        try:
            path.write_text(json.dumps(codec.to_json(self._layout)))
            self._storage.put(f"{self._folder}/{path.name}", path)
        except (OSError, StorageUnavailable) as err:
            logger.warning("layout not kept job=%s: %s", self._job_id, err)
        finally:
            path.unlink(missing_ok=True)

    def _store(self, index: int, path: Path) -> None:
        try:
            self._storage.put(self._key(index), path, synced=False)
        except StorageUnavailable as err:
            logger.warning(_NOT_KEPT, index, self._job_id, err)
        finally:
            path.unlink(missing_ok=True)

    def _key(self, index: int) -> str:
        return key(self._job_id, self._layout.engine, index)
