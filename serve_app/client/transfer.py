"""Files on their way: songs up, stems down."""

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

_RANGE_NOT_SATISFIABLE = 416

OnFraction = Callable[[float], None]


class Upload(io.FileIO):
    """A song that tells how much of it has been read. Use it once."""

    def __init__(self, path: Path, on_progress: OnFraction | None) -> None:
        super().__init__(path, "r")
        self._size_bytes = max(os.fstat(self.fileno()).st_size, 1)
        self._on_progress = on_progress

    def read(self, size: int | None = -1) -> bytes:
        """Read on, and report how far that is."""
        if self._on_progress is not None:
            self._on_progress(min(self.tell() / self._size_bytes, 1.0))
        return super().read(-1 if size is None else size)


class Download:
    """A stem being fetched to a file beside `path`, which appears when it is whole.

    A context: what is unfinished at its end is deleted.
    """

    def __init__(
        self, stem: RemoteStem, path: Path, on_progress: OnFraction | None
    ) -> None:
        self._stem = stem
        self._path = path
        self._partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._on_progress = on_progress
        self._etag: str | None = None
        self._file = self._partial.open("xb")
        self._hash = hashlib.sha256()

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def attempt(self, http: httpx.Client) -> None:
        """Fetch what is missing; TryAgain when it was cut or is not what was said."""
        before = self._file.tell()
        try:
            self._fetch(http)
        except TryAgain as again:
            again.has_progressed = self._file.tell() > before
            raise
        except Refused as refused:
            if refused.http_status != _RANGE_NOT_SATISFIABLE:
                raise
            self._restart()
            raise TryAgain(refused) from refused
        self._check()
        self._file.close()
        self._partial.replace(self._path)

    def _fetch(self, http: httpx.Client) -> None:
        done = self._file.tell()
        if done > 0 and done == self._stem.size_bytes:
            return
        request = built(http, "GET", self._stem.url, headers=self._headers(done))
        with sent(http, request, follow_redirects=True) as answer:
            if done > 0 and not self._continues(answer, done):
                self._restart()
            self._etag = answer.headers.get("ETag")
            for chunk in answer.iter_raw():
                self._write(chunk)

    def _headers(self, done: int) -> dict[str, str]:
        # Bytes are counted: they must come as they are.
        headers = {"Accept-Encoding": "identity"}
        if done > 0:
            headers["Range"] = f"bytes={done}-"
            if self._etag is not None and not self._etag.startswith("W/"):
                headers["If-Range"] = self._etag
        return headers

    @staticmethod
    def _continues(answer: httpx.Response, done: int) -> bool:
        content_range = answer.headers.get("Content-Range", "")
        return answer.status_code == 206 and content_range.startswith(f"bytes {done}-")

    def _write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        if self._on_progress is not None and self._stem.size_bytes:
            self._on_progress(min(self._file.tell() / self._stem.size_bytes, 1.0))

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()

    def _check(self) -> None:
        """Raise TryAgain, and forget the bytes, if they are not those of the stem."""
        size, sha256 = self._file.tell(), self._hash.hexdigest()
        is_size = self._stem.size_bytes in (None, size)
        if is_size and self._stem.sha256 in (None, sha256):
            return
        self._restart()
        raise TryAgain(
            ServerUnreachable(
                f"{self._stem.url} gives no whole {self._stem.name}. Try again."
            )
        )
