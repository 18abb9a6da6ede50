"""Uploads of songs, and resumable downloads of stems."""

import hashlib
import io
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import httpx

from serve_app.client.errors import Refused, ServerUnreachable
from serve_app.client.exchange import built, sent
from serve_app.client.job import RemoteStem
from serve_app.client.retry import TryAgain
from serve_app.outbound.partial_file import PartialFile, WrongRange

_RANGE_NOT_SATISFIABLE = 416

OnFraction = Callable[[float], None]


class Upload(io.FileIO):
    """A song's file that reports how much of it has been read. Use it once."""

    def __init__(self, path: Path, on_progress: OnFraction | None) -> None:
        super().__init__(path, "r")
        self._size_bytes = max(os.fstat(self.fileno()).st_size, 1)
        self._on_progress = on_progress

    def read(self, size: int | None = -1) -> bytes:
        """Report the progress, and read the next bytes."""
        if self._on_progress is not None:
            self._on_progress(min(self.tell() / self._size_bytes, 1.0))
        return super().read(-1 if size is None else size)


class Download:
    """A download of a stem to a file beside `path`, which is renamed when complete.

    As a context manager it deletes an incomplete file.
    """

    def __init__(
        self, stem: RemoteStem, path: Path, on_progress: OnFraction | None
    ) -> None:
        self._stem = stem
        self._path = path
        self._hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._on_progress = on_progress
        self._file = self._hidden.open("x+b")
        self._partial = PartialFile(self._file)

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._hidden.unlink(missing_ok=True)

    def attempt(self, http: httpx.Client) -> None:
        """Download the missing bytes; raise TryAgain for failures to retry."""
        before = self._partial.size_bytes
        try:
            self._fetch(http)
        except TryAgain as again:
            again.has_progressed = self._partial.size_bytes > before
            raise
        except WrongRange as err:
            raise self._incomplete() from err
        except Refused as refused:
            if refused.http_status != _RANGE_NOT_SATISFIABLE:
                raise
            self._partial.restart()
            raise TryAgain(refused) from refused
        self._check()
        self._file.close()
        self._hidden.replace(self._path)

    def _fetch(self, http: httpx.Client) -> None:
        if self._partial.size_bytes and self._has_size():
            return
        headers = self._partial.request_headers()
        request = built(http, "GET", self._stem.url, headers=headers)
        with sent(http, request, follow_redirects=True) as answer:
            self._partial.begin(answer.status_code, answer.headers)
            for chunk in answer.iter_raw():
                self._write(chunk)
        if not self._partial.is_whole:
            raise self._incomplete()

    def _write(self, chunk: bytes) -> None:
        self._partial.write(chunk)
        if self._on_progress is not None and self._stem.size_bytes:
            done = self._partial.size_bytes / self._stem.size_bytes
            self._on_progress(min(done, 1.0))

    def _has_size(self) -> bool:
        return self._stem.size_bytes == self._partial.size_bytes

    def _check(self) -> None:
        """Raise TryAgain, and discard the bytes, if they are not those of the stem."""
        is_size = self._stem.size_bytes is None or self._has_size()
        if not is_size or self._stem.sha256 not in (None, self._sha256()):
            self._partial.restart()
            raise self._incomplete()

    def _sha256(self) -> str:
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def _incomplete(self) -> TryAgain:
        return TryAgain(
            ServerUnreachable(
                f"{self._stem.name} was not downloaded completely from "
                f"{self._stem.url}. Try again."
            )
        )
