"""Responses with media that is stored."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from serve_app.archive.errors import MediaNotFound
from serve_app.archive.http.streaming import answers
from serve_app.archive.http.streaming.answers import Begun, Facts
from serve_app.archive.http.streaming.bodies import Body, Reader
from serve_app.archive.http.streaming.sent_types import VIDEO
from serve_app.archive.media import Media
from serve_app.errors import FileLost
from serve_app.storage.port import StoredFile

# A player that pauses comes back to the same URL.
_LINK_SECONDS = 6 * 3600


class Objects(Protocol):
    """The stored objects of the archive; methods block, and are thread-safe.

    They raise StorageUnavailable, and FileNotFoundError for a missing object.
    """

    def stat(self, object_key: str) -> StoredFile:
        """Return the size of an object, and its time."""

    def read(
        self, object_key: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes [start, end) of an object."""

    def link(self, object_key: str, media_type: str, seconds: int) -> str | None:
        """Return a signed URL of an object, or None if its store has none."""

    def hosts(self) -> Collection[str]:
        """Return the hosts of the stores' direct URLs, and of their redirects."""

    def has_url(self, url: str) -> bool:
        """Whether a URL is a direct one of an object in a store."""


@dataclass(frozen=True)
class StoredMedia:
    """Sends stored media; with `redirects`, the store does where it can."""

    objects: Objects
    threads: ThreadPoolExecutor
    redirects: bool = False

    async def answer(self, request: Request, media: Media) -> Response:
        """Return the response with media that is ready.

        Raises RangeNotSatisfiable, PreconditionFailed, StorageUnavailable and FileLost.
        """
        object_key, facts = _facts(media)

        async def send(begun: Begun) -> Response:
            is_head = request.method == "HEAD"
            # A signed URL is that of one method.
            if self.redirects and not is_head:
                link = await self._link(object_key, facts.media_type)
                if link is not None:
                    headers = {"Location": link, "Cache-Control": "no-store"}
                    return Response(status_code=302, headers=headers)
            return await self._sent(object_key, begun, is_head=is_head)

        return await answers.answer(request, facts, send)

    async def _sent(self, object_key: str, begun: Begun, *, is_head: bool) -> Response:
        reader, span, first = Reader(self.threads), begun.span, b""
        try:
            # Asked for even if nothing is sent: a lost object is an error in any case.
            if is_head or span.size_bytes == 0:
                await reader.run(self.objects.stat, object_key)
            else:
                first = await reader.open(
                    lambda: self.objects.read(object_key, span.start, span.end)
                )
        except BaseException as err:
            reader.close()
            if isinstance(err, FileNotFoundError):
                raise _lost(object_key) from err
            raise
        return Body(begun.status, begun.headers, reader, first)

    async def _link(self, object_key: str, media_type: str) -> str | None:
        reader = Reader(self.threads)
        try:
            return await reader.run(
                self.objects.link, object_key, media_type, _LINK_SECONDS
            )
        except FileNotFoundError as err:
            raise _lost(object_key) from err


def _facts(media: Media) -> tuple[str, Facts]:
    """Return where media is stored, and its facts.

    Its tag is its hash: that of all copies, though each store has its own times.
    """
    if media.object_key is None or media.size_bytes is None:
        raise MediaNotFound(f"The media {media.key!r} is not stored.")
    facts = Facts(
        media.size_bytes,
        f'"{media.sha256}"',
        media.media_type or VIDEO,
        media.stored_at,
    )
    return media.object_key, facts


def _lost(object_key: str) -> FileLost:
    return FileLost(
        f"The stored media {object_key} is missing in all stores. The operator must "
        "restore it, or have it fetched again."
    )
