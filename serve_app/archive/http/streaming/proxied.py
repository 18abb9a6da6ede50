"""Responses with media that a source sends: checked, and passed on as it comes."""

import hashlib
import math
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api import ranges
from serve_app.archive.errors import MediaNotFound, NotMedia, SourceFailed
from serve_app.archive.http.streaming import answers, playlists, sent_types
from serve_app.archive.http.streaming.admission import refused
from serve_app.archive.http.streaming.answers import Begun, Facts
from serve_app.archive.http.streaming.bodies import Body, Reader
from serve_app.archive.http.streaming.public_urls import PublicUrls
from serve_app.errors import AppError, Busy, RangeNotSatisfiable
from serve_app.outbound.client import NO_RESPONSE, OutboundClient, OutboundResponse

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_MISSING = (404, 410)
# For a whole playlist.
_PLAYLIST_SECONDS = 60.0
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_NO_RANGE = re.compile(r"bytes \*/(\d{1,18})")
_VISIBLE = re.compile(r"[\x20-\x7e]+")
# Compressed bytes would have other ranges.
_PLAIN: Mapping[str, str] = {"Accept-Encoding": "identity"}


class SourceHasNoRange(AppError):
    """A range is outside the media of a source, which does not tell its size."""

    code, status = RangeNotSatisfiable.code, RangeNotSatisfiable.status


@dataclass(frozen=True)
class _Opened:
    """The response of a source, and the first bytes of its body."""

    url: str
    status: int
    headers: Mapping[str, str]
    first: bytes

    @property
    def declared_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def is_start(self) -> bool:
        """Whether the first bytes are those of the file."""
        found = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        return self.status == _OK or (found is not None and int(found[1]) == 0)

    @property
    def is_playlist(self) -> bool:
        first = self.first if self.is_start else b""
        return sent_types.is_playlist(self.declared_type, first)


class ProxiedMedia:
    """Sends the media at URLs that were admitted, at most `limit` at once.

    `client` reaches the hosts that they, and their redirects, may have.
    """

    def __init__(self, client: OutboundClient, limit: int) -> None:
        self._client = client
        self._limit = limit
        self._number = 0
        # Each of them may be blocked by its source.
        self._threads = ThreadPoolExecutor(limit, "proxied-media")

    def close(self) -> None:
        """Close the connections to sources; no response may be running."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def answer(self, request: Request, url: str, urls: PublicUrls) -> Response:
        """Return the response with the media at a URL.

        Raises SourceNotAllowed, SourceFailed, MediaNotFound, RangeNotSatisfiable, and
        Busy.
        """
        reader = self._begin()
        try:
            opened = await self._opened(reader, url, _asked(request, url))
            if opened.is_playlist and opened.status == _PARTIAL:
                # Only a whole one can be rewritten.
                reader.close()
                reader = self._begin()
                opened = await self._opened(reader, url, {})
            if opened.is_playlist:
                body, version = await reader.run(_playlist, reader, opened, urls)
                reader.close()
                return await _sent_whole(request, body, version)
            headers = _headers(opened)
        except BaseException:
            reader.close()
            raise
        return Body(opened.status, headers, reader, opened.first)

    def _begin(self) -> Reader:
        if self._number >= self._limit:
            raise Busy(
                f"This server passes on {self._limit} streams of sources at once, its "
                "maximum. Try again in a moment."
            )
        self._number += 1
        reader = Reader(self._threads)
        reader.stack.callback(self._end)
        return reader

    def _end(self) -> None:
        self._number -= 1

    async def _opened(
        self, reader: Reader, url: str, headers: Mapping[str, str]
    ) -> _Opened:
        """Return the response of a source, which has media or a playlist."""
        sent = {**_PLAIN, **headers}
        # No timeout of the whole: a film is as long as its player watches it.
        opening = self._client.get(url, sent, math.inf, reader.is_wanted)

        def begun() -> OutboundResponse:
            with _translated():
                return reader.stack.enter_context(opening)

        found = await reader.run(begun)
        _check(found, is_range="Range" in headers)
        first = await reader.open(lambda: _chunks(found))
        return _Opened(found.url, found.status, found.headers, first)


def _asked(request: Request, url: str) -> dict[str, str]:
    """Return the headers that a source gets of a request: none but those of ranges."""
    wanted = request.headers.get("range", "").strip()
    if not ranges.is_single(wanted) or urlsplit(url).path.endswith(".m3u8"):
        return {}
    condition = request.headers.get("if-range", "").strip()
    if not condition:
        return {"Range": wanted}
    # One that can't be met: the whole media is sent.
    is_plain = _VISIBLE.fullmatch(condition) is not None
    return {"Range": wanted, "If-Range": condition} if is_plain else {}


def _check(found: OutboundResponse, *, is_range: bool) -> None:
    """Raise an error unless a source has sent media, or a part that was requested."""
    status, headers = found.status, found.headers
    if status in _MISSING:
        raise MediaNotFound(f"The source has no such media: it responded {status}.")
    content_range = headers.get("content-range", "")
    if status == _UNSATISFIABLE:
        size = _NO_RANGE.fullmatch(content_range)
        raise (
            answers.unsatisfiable(int(size[1]))
            if size
            else SourceHasNoRange(
                "The range is outside the media. Request a range within it."
            )
        )
    if status not in (_OK, _PARTIAL):
        raise SourceFailed(f"The source responded with status {status}.")
    if status == _PARTIAL and not (
        is_range and _CONTENT_RANGE.fullmatch(content_range)
    ):
        raise SourceFailed("The source sent a part without saying which one.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceFailed("The source sent compressed media, whose ranges differ.")


def _headers(opened: _Opened) -> dict[str, str]:
    """Return the headers that players get of a source's; no others are passed on."""
    source, is_start = opened.headers, opened.is_start
    try:
        media_type = sent_types.sent(
            opened.declared_type, opened.first, is_start=is_start
        )
    except NotMedia as err:
        raise SourceFailed(err.detail) from err
    headers = answers.of_media(media_type)
    has_ranges = opened.status == _PARTIAL or "bytes" in source.get("accept-ranges", "")
    headers["Accept-Ranges"] = "bytes" if has_ranges else "none"
    if opened.status == _PARTIAL:
        headers["Content-Range"] = source["content-range"]
    if (length := source.get("content-length", "")).isdecimal():
        headers["Content-Length"] = length
    for name in ("ETag", "Last-Modified"):
        if _VISIBLE.fullmatch(value := source.get(name.lower(), "")):
            headers[name] = value
    return headers


def _chunks(found: OutboundResponse) -> Iterator[bytes]:
    """Yield the body of a source; the first chunk is enough to tell what it is."""
    with _translated():
        first = b""
        for chunk in found.body:
            first += chunk
            if len(first) >= sent_types.SNIFFED_BYTES:
                break
        if first:
            yield first
        yield from found.body


def _playlist(reader: Reader, opened: _Opened, urls: PublicUrls) -> tuple[bytes, str]:
    """Return a rewritten playlist, and its hash."""
    body, deadline = opened.first, time.monotonic() + _PLAYLIST_SECONDS
    for chunk in reader.chunks:
        body += chunk
        if len(body) > playlists.MAX_BYTES:
            most = f"{playlists.MAX_BYTES:,}"
            raise SourceFailed(f"The source's playlist has more than {most} bytes.")
        if time.monotonic() > deadline:
            raise SourceFailed("The source sent its playlist too slowly.")
    changed = playlists.rewritten(body, opened.url, urls.proxied)
    return changed, hashlib.sha256(changed).hexdigest()


async def _sent_whole(request: Request, body: bytes, version: str) -> Response:
    """Return the response with a rewritten playlist, whose ranges are its own."""
    facts = Facts(len(body), f'"{version}"', sent_types.PLAYLIST)

    async def send(begun: Begun) -> Response:
        part = body[begun.span.start : begun.span.end]
        return Response(part, begun.status, begun.headers)

    return await answers.answer(request, facts, send)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with refused():
            yield
    except NO_RESPONSE as err:
        reason = str(err) or type(err).__name__
        raise SourceFailed(
            f"The source is unreachable, or broke off: {reason}."
        ) from err
