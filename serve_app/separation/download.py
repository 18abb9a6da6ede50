"""Download a large file over HTTP, and resume after interruptions."""

import http.client
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError, URLError

from serve_app.errors import WeightsUnavailable, is_disk_full

Progress = Callable[[int, int | None], None]

CONNECT_SECONDS = 5.0
# Most tries of one call; it stops earlier if a try receives nothing.
_TRIES = 10
_CHUNK_BYTES = 1 << 18
_RANGE_NOT_SATISFIABLE = 416


def fetch(
    url: str, partial: Path, timeout_seconds: float, progress: Progress | None = None
) -> None:
    """Download `url` to `partial`, and resume an interrupted download.

    A partial file is resumed only if the server confirms that the file is unchanged
    (RFC 9110, If-Range). `progress` gets the bytes done and their total, if known.
    Raises WeightsUnavailable if there is no connection within 5 s, if no data arrive
    for `timeout_seconds`, or if the response is not successful; OSError if the disk is
    full. The partial file is kept.
    """
    if not url.startswith(("https://", "http://")):
        raise WeightsUnavailable(
            f"The URL of weights must start with https:// or http://, got {url!r}."
        )
    for _ in range(_TRIES):
        before = _size(partial)
        reason = "the connection was closed early"
        try:
            if _resume(url, partial, timeout_seconds, progress):
                return
        except HTTPError as err:
            with err:
                reason = f"the server returned {err.code} {err.reason}"
            if err.code == _RANGE_NOT_SATISFIABLE and before:
                partial.unlink()
                continue
        except (OSError, http.client.HTTPException) as err:
            if isinstance(err, OSError) and is_disk_full(err):
                raise
            cause = err.reason if isinstance(err, URLError) else err
            reason = str(cause) or type(err).__name__
        if _size(partial) <= before:
            break
    here = _size(partial)
    kept = f" The next try resumes after {here} bytes." if here else ""
    raise WeightsUnavailable(
        f"{url} could not be downloaded: {reason}.{kept} Check the network, or set "
        f"STEMSERVE_WEIGHTS_MIRROR to a directory or URL that has "
        f"{url.rpartition('/')[2]}, and try again."
    )


def _resume(
    url: str, partial: Path, timeout_seconds: float, progress: Progress | None
) -> bool:
    """Resume `partial`, or start again; return whether it is complete."""
    tag = _recorded_tag(url, partial)
    start = _size(partial) if tag else 0
    request = urllib.request.Request(url, headers={"User-Agent": "stemserve"})  # noqa: S310 - `fetch` has checked the scheme.
    if tag and start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", tag)
    opener = urllib.request.build_opener(_Handler(), _SecureHandler())
    with opener.open(request, timeout=timeout_seconds) as response:
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            _require_start(response.headers.get("Content-Range", ""), start)
        else:
            start = 0
            _restart(url, partial, response.headers.get("ETag", ""))
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        with partial.open("ab") as file:
            done = start
            while chunk := response.read(_CHUNK_BYTES):
                done += file.write(chunk)
                if progress is not None:
                    progress(done, total)
    return total is None or done == total


def _require_start(content_range: str, start: int) -> None:
    match = re.match(r"bytes (\d+)-", content_range)
    if match is None or int(match.group(1)) != start:
        raise WeightsUnavailable(
            f"The server returned the range {content_range!r} for a request of bytes "
            f"from {start}. Use another mirror."
        )


def _tag_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.etag")


def _recorded_tag(url: str, partial: Path) -> str | None:
    """Return the entity tag of `partial`, or None if it is not from `url`."""
    try:
        begun_from, tag = _tag_file(partial).read_text().splitlines()
    except (FileNotFoundError, ValueError):
        return None
    return tag if begun_from == url else None


def _restart(url: str, partial: Path, tag: str) -> None:
    """Empty `partial`, then record the new tag."""
    partial.unlink(missing_ok=True)
    partial.touch()
    # A weak tag does not promise equal bytes, so it can't be used to resume.
    lines = [url, tag] if tag and not tag.startswith("W/") else []
    _tag_file(partial).write_text("\n".join(lines))


def discard(partial: Path) -> None:
    """Delete `partial` and its recorded tag, if they exist."""
    partial.unlink(missing_ok=True)
    _tag_file(partial).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _connect_in_time(connect: Callable[[], None]) -> None:
    """Run `connect` with a timeout of 5 s.

    A socket's timeout would apply to each of a host's addresses, and does not apply to
    name resolution.
    """
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            connect()
        except Exception as err:
            failures.append(err)

    thread = Thread(target=attempt, name="connect", daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"no connection within {CONNECT_SECONDS:g} s")
    if failures:
        raise failures[0]


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        _connect_in_time(super().connect)


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        _connect_in_time(super().connect)


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)
